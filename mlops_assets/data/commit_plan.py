"""What to do about a table's versions, given what was staged: pure.

Here: what a version says about its content, and the plans `plan_whole` and `plan_parts`. A plan is
asked again whenever another process committed first (`lake_table.py`).
"""

from collections.abc import Callable, Mapping

from pydantic import BaseModel, ConfigDict

from mlops_assets.data.content_digest import digest_of_parts
from mlops_assets.data.partitions import Window, parts_in
from mlops_assets.errors import SourceError


class Part(BaseModel):
    """What one partition holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    digest: str
    n_rows: int
    null_counts: dict[str, int]


class TableState(BaseModel):
    """What a version of a table says about its content.

    Attributes:
        format: Number of this layout.
        version: Its number.
        digest: The content's.
        columns: Type of each column, as Polars calls it.
        stage: Name of the stage whose files it added.
        parts: Its partitions by name; `{"rows": ...}` when the table is one piece.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = 1
    version: int = 0  # known at the commit, and written with it
    digest: str
    columns: dict[str, str]
    stage: str
    parts: dict[str, Part]


class Change(BaseModel):
    """What a commit makes of a table.

    Attributes:
        state: What the table says about itself then.
        replaces: Names of the partitions whose rows go; None for all rows.
        reuses: A version that holds this content already: nothing is committed.
    """

    model_config = ConfigDict(frozen=True)

    state: TableState
    replaces: list[str] | None = None
    reuses: int | None = None


Plan = Callable[[Mapping[int, TableState]], Change]
"""From the states of the versions, newest first, to what to do about them."""


def plan_whole(new: TableState) -> Plan:
    """Replaces all rows, or goes back to the version that held the same content before."""

    def plan(states: Mapping[int, TableState]) -> Change:
        same = next((v for v, known in states.items() if known.digest == new.digest), None)
        return Change(state=new, reuses=same)

    return plan


def plan_parts(new: TableState, window: Window | None) -> Plan:
    """Replaces the partitions of a window (all without one), and keeps the others.

    The next window is put into the newest version, so no older one is gone back to.

    Raises:
        SourceError: (the plan) the columns differ from those of the partitions that stay.
    """

    def plan(states: Mapping[int, TableState]) -> Change:
        if not states:
            return Change(state=new)
        version, latest = next(iter(states.items()))
        gone = parts_in(window, latest.parts)
        stay = {name: part for name, part in latest.parts.items() if name not in gone}
        if stay and latest.columns != new.columns:
            raise SourceError(_columns_changed(latest.columns, new.columns))
        parts = dict(sorted({**stay, **new.parts}.items()))
        digest = digest_of_partitions(parts)
        state = new.model_copy(update={"parts": parts, "digest": digest})
        return Change(
            state=state,
            replaces=sorted(gone | new.parts.keys()) if stay else None,
            reuses=version if latest.digest == digest else None,
        )

    return plan


def digest_of_partitions(parts: Mapping[str, Part]) -> str:
    """The digest of a dataset in partitions."""
    return digest_of_parts({name: part.digest for name, part in parts.items()})


def _columns_changed(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    names = sorted(before.keys() | now.keys())
    pairs = {name: (before.get(name), now.get(name)) for name in names}
    found = ", ".join(f"{n} from {old} to {new}" for n, (old, new) in pairs.items() if old != new)
    return (
        f"the columns of this partition differ from those of the others: {found or 'their order'}; "
        "backfill all partitions in one run, or repair the source"
    )
