"""How far a model's past was played: a small file, so that a replay stops and goes on."""

from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, ValidationError

from mlops_assets.errors import HistoryError
from mlops_assets.monitoring.record import Record
from mlops_assets.serving.home import write_json


class Position(Record):
    """How far a past was played.

    Attributes:
        format: Number of this layout; a reader refuses numbers it does not know.
        model: Which model.
        begin: Where it began.
        at: All that came before was sent.
        settled: Up to here windows were waited for.
        n_sent: Predictions asked for.
        n_failed: Of these, not answered as they should be.
        n_truths: Truths told.
    """

    format: Literal[1] = 1
    model: str
    begin: AwareDatetime
    at: AwareDatetime
    settled: AwareDatetime
    n_sent: int = 0
    n_failed: int = 0
    n_truths: int = 0

    @staticmethod
    def first(model: str, begin: AwareDatetime) -> "Position":
        """Before anything was sent."""
        return Position(model=model, begin=begin, at=begin, settled=begin)


def read_position(path: Path) -> Position | None:
    """The position that was kept; None when none was.

    Raises:
        HistoryError: the file cannot be read.
    """
    try:
        return Position.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise HistoryError(
            f"{path}: the position of a replay cannot be read; remove it to play from the begin "
            f"({error})"
        ) from error


def write_position(path: Path, position: Position) -> None:
    """Keep a position: aside first, then switched in."""
    write_json(path, position.model_dump(mode="json"))
