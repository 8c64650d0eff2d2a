"""The state of rollouts on a cluster: a ConfigMap `<service>-rollout` for each service."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mlops_assets.errors import RolloutError, ServingError, StateConflictError
from mlops_assets.kserve.api import ClusterApi
from mlops_assets.kserve.owned import ChangedMeanwhileError, OwnedText


class ConfigMapStore:
    """`RolloutStore` in a namespace; each document belongs to its InferenceService, goes with it.

    Args:
        api: The namespace.
    """

    def __init__(self, api: ClusterApi) -> None:
        self._texts = OwnedText(api, "rollout")

    def read(self, service: str) -> tuple[str | None, str]:
        """The document and its resourceVersion; `(None, "")` when there is none."""
        with _readable_failures(service):
            return self._texts.read(service)

    def write(self, service: str, content: str, expected: str) -> str:
        """Replace the document that was read; returns the new resourceVersion."""
        with _readable_failures(service):
            return self._texts.write(service, content, expected)

    def delete(self, service: str) -> None:
        """Forget a service's document."""
        with _readable_failures(service):
            self._texts.delete(service)

    def services(self) -> Sequence[str]:
        """Services that have a document, sorted."""
        with _readable_failures("any service"):
            return self._texts.services()


@contextmanager
def _readable_failures(service: str) -> Iterator[None]:
    try:
        yield
    except ChangedMeanwhileError as error:
        raise StateConflictError(f"rollout of {service}: {error}") from error
    except ServingError as error:
        raise RolloutError(f"state of the rollout of {service}: {error}") from error
