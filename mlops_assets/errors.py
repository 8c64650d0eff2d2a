"""Every error that this package raises on purpose.

MlopsError               anything below; the command line prints it as one message and exits 2
├── SpecError            a model document cannot be used; lists every problem
├── SourceError          a source cannot be read: missing, empty, malformed, unreachable
├── ContractError        the data breaks its contract by more than the contract allows
├── LakeError            a table of the lake is missing, unreachable or held by another writer
├── DocumentError        a small text that the platform keeps of a model cannot be read or written
├── FeatureError         the training frame cannot be made from the dataset
├── TrainingError        the estimator does not exist, does not fit the task or does not converge
├── UnsafeModelError     a model's bytes are not what its manifest says, or could run code
├── SigningKeyError      a key that signs models, or is trusted to, is missing or no such key
├── RegistryError        the tracking server refused or holds something else than expected
├── ServingError         the serving backend is unreachable or a revision did not become ready
│   ├── AnsweredError        a version itself answered, with an error or with what is no answer
│   ├── ClusterApiError      the API server refused or did not answer; has its status and reason
│   └── FieldConflictError   somebody else set fields of the service that we declare too
├── MonitoringError      a reference or a window cannot be counted or compared
├── RolloutError         the state of a rollout cannot be read, written or followed
│   └── StateConflictError   another writer was first; read the state again
├── RetrainingError      the state of a model's retraining cannot be read
├── HistoryError         the past of a model cannot be played: no times, too few rows
└── PlatformError        the embedded platform cannot start: a port, a lock, a home

A library's error is translated once, where it is called, with the original chained.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class MlopsError(Exception):
    """Root of the errors that a user can act on."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a document.

    Attributes:
        file: The document.
        line: 1-based line of the field, or of its nearest parent when the field is missing.
        field: Path of the field as in the document: `split.validation_ratio`, `owners[1]`.
        found: What stands there; `None` when nothing does.
        allowed: What may stand there.
    """

    file: Path
    line: int
    field: str
    found: object
    allowed: str

    def __str__(self) -> str:
        return (
            f"{self.file}:{self.line}: {self.field}: found {self.found!r}, allowed: {self.allowed}"
        )


class SpecError(MlopsError, ValueError):
    """A model document that cannot be used; `problems` holds all that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems)  # kept as `args`, so it survives pickling between processes
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class SourceError(MlopsError):
    """A source cannot be read. The message names the source and what to do."""


class ContractError(MlopsError):
    """The data breaks its contract by more than the contract allows."""


class LakeError(MlopsError):
    """A table of the lake is missing or unreachable, or its other writers never pause."""


class DocumentError(MlopsError):
    """A small text that the platform keeps of a model cannot be read or written."""


class FeatureError(MlopsError):
    """The training frame cannot be made from the dataset."""


class TrainingError(MlopsError):
    """The estimator does not exist, does not fit the task, or failed on this data."""


class UnsafeModelError(MlopsError):
    """A model's bytes are not what its manifest says, or loading them could run code."""


class SigningKeyError(MlopsError):
    """A key that signs models, or is trusted to, is missing or is no such key."""


class RegistryError(MlopsError):
    """The tracking server refused, or holds something else than expected."""


class ServingError(MlopsError):
    """The serving backend is unreachable, or a revision did not become ready."""


class AnsweredError(ServingError):
    """A version itself answered a request, with an error or with what is no answer.

    Any other `ServingError` of a prediction says nothing of the version: nobody was there, or
    something on the way to it answered in its place.

    Attributes:
        status: HTTP status of the answer.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message, status)  # both kept, so that it can be pickled
        self.status = status

    def __str__(self) -> str:
        return str(self.args[0])


class ClusterApiError(ServingError):
    """The API server of a cluster refused or did not answer.

    Attributes:
        status: HTTP status; 0 when there was no answer.
        reason: The server's word for it: NotFound, Conflict, Forbidden.
        causes: Fields that it names, with what it says of each.
    """

    def __init__(
        self, message: str, status: int, reason: str = "", causes: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__(message, status, reason, causes)  # all kept, so that it can be pickled
        self.status = status
        self.reason = reason
        self.causes = tuple(causes)

    def __str__(self) -> str:
        return str(self.args[0])


class FieldConflictError(ServingError):
    """Somebody else set fields of the service that we declare too; nothing was changed."""


class MonitoringError(MlopsError):
    """A reference or a window cannot be counted, or the two cannot be compared."""


class RolloutError(MlopsError):
    """The state of a rollout cannot be read, written or followed."""


class StateConflictError(RolloutError):
    """Another writer changed the state first; nothing was written. Read again, then decide anew."""


class RetrainingError(MlopsError):
    """The state of a model's retraining cannot be read."""


class HistoryError(MlopsError):
    """The past of a model cannot be played: it has no times, or too few rows."""


class PlatformError(MlopsError):
    """The embedded platform cannot start or go on."""
