"""Where the state of retraining is kept, and what people asked: two texts for each model.

retraining   the state; its one writer is the sensor (or a replay, while that plays the model)
request      the last wish of a person; a newer one takes its place
"""

from datetime import timedelta

from pydantic import ValidationError

from mlops_assets.data.documents import ModelDocuments
from mlops_assets.errors import RetrainingError
from mlops_assets.retraining.state import Request, RetrainingState

STATE, REQUEST = "retraining", "request"
_STAYS = timedelta(minutes=15)


class RetrainingStore:
    """States and requests of all models.

    Args:
        documents: Where they are kept.
    """

    def __init__(self, documents: ModelDocuments) -> None:
        self._documents = documents

    def read(self, model: str) -> RetrainingState | None:
        """The state of a model; None before the first tick.

        Raises:
            RetrainingError: it cannot be read.
        """
        text = self._documents.read(model, STATE)
        return None if text is None else RetrainingState.from_storage(text)

    def write(self, state: RetrainingState) -> None:
        """Keep a state, unless it differs by no more than the time of the tick.

        The time alone is written every 15 minutes, so that it tells whether anybody still decides.
        """
        before = self._documents.read(state.model, STATE)
        if before is not None and _says_the_same(before, state):
            return
        self._documents.write(state.model, STATE, state.to_storage())

    def ask(self, model: str, request: Request) -> None:
        """Write down a person's wish; the next tick acts on it."""
        self._documents.write(model, REQUEST, request.model_dump_json())

    def request(self, model: str) -> Request | None:
        """The last wish of a person, met or not; None: nobody ever asked.

        Raises:
            RetrainingError: it cannot be read.
        """
        text = self._documents.read(model, REQUEST)
        if text is None:
            return None
        try:
            return Request.model_validate_json(text)
        except ValidationError as error:
            place = self._documents.path(model, REQUEST)
            raise RetrainingError(f"{place}: the request cannot be read: {error}") from error

    def forget(self, model: str) -> bool:
        """Remove the state and the request of a model; whether there was one."""
        gone = [self._documents.delete(model, name) for name in (REQUEST, STATE)]
        return any(gone)


def _says_the_same(before: str, state: RetrainingState) -> bool:
    try:
        known = RetrainingState.from_storage(before)
    except RetrainingError:
        return False
    then, now = known.ticked_at or known.since, state.ticked_at or state.since
    if not timedelta(0) <= now - then < _STAYS:
        return False
    return known.model_copy(update={"ticked_at": state.ticked_at}) == state
