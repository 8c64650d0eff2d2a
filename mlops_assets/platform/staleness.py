"""What of a model must be made again: a pure decision from what is recorded and what is there.

The rule is Dagster's own (code version, data version, data versions of the inputs), and beyond it:
the source may have changed, what a record speaks of may be gone, and a blocking check that failed
is a result, which the same inputs would only repeat.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

SOURCE = "dataset"  # the asset that reads what lies outside


@dataclass(frozen=True, slots=True)
class Made:
    """The latest materialization of an asset.

    Attributes:
        code_version: Of the code that made it.
        data_version: Of what was made.
        inputs: Data version of each input that it was made of, by asset.
        source_fingerprint: Of the source that was read; None where it has none.
        made_at: When, in seconds since 1970.
    """

    code_version: str | None
    data_version: str | None
    inputs: Mapping[str, str | None] = field(default_factory=dict)
    source_fingerprint: str | None = None
    made_at: float = 0.0


@dataclass(frozen=True, slots=True)
class AssetState:
    """One asset of a model.

    Attributes:
        name: Last part of its key.
        upstream: The assets of the model that it is made of.
        code_version: Of the code that would make it now.
        made: Its latest materialization; None when there is none.
        failed_checks: Blocking checks that the latest materialization failed, each with its reason.
        is_judged: Whether every blocking check has judged the latest materialization.
        lost: Why what was made cannot be used any more, though it is recorded; None when it can.
        is_partitioned: Whether it is made in parts. Its data version is then only its newest
            part's, so that what is made of it goes by times.
    """

    name: str
    upstream: tuple[str, ...]
    code_version: str | None
    made: Made | None
    failed_checks: Mapping[str, str] = field(default_factory=dict)
    is_judged: bool = True
    lost: str | None = None
    is_partitioned: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What to make, and why.

    Attributes:
        reasons: Why, by asset, in the order of making. Empty: nothing is stale.
        blocked_by: The asset whose failed check stops what comes after it; None when none does.
    """

    reasons: Mapping[str, str]
    blocked_by: str | None

    @property
    def assets(self) -> tuple[str, ...]:
        """The assets to make, inputs first."""
        return tuple(self.reasons)


def decide_stale(
    states: Sequence[AssetState], source_fingerprint: str | None, *, source_was_read: bool
) -> Plan:
    """What of a model to make again.

    A source that may have changed makes only the dataset stale: once it is read, its data version
    tells whether the rest is. Anything else makes all that follows stale as well.

    Args:
        states: The model's assets, inputs before what is made of them.
        source_fingerprint: Of the source as it is now; None when only reading it can tell.
        source_was_read: Whether the source was read a moment ago.
    """
    by_name = {state.name: state for state in states}
    reasons: dict[str, str] = {}
    spreading: set[str] = set()
    shadowed: set[str] = set()  # behind a check that failed
    blocked_by: str | None = None
    for state in states:
        renewed = [name for name in state.upstream if name in spreading]
        blocking = [name for name in state.upstream if name in shadowed]
        reason = _own_reason(state, by_name)
        if reason is None and renewed:
            reason = f"{renewed[0]} is made again"
        if reason is not None and not blocking:
            reasons[state.name] = reason
            spreading.add(state.name)
        elif blocking:
            shadowed.add(state.name)
        elif state.failed_checks:
            shadowed.add(state.name)
            blocked_by = blocked_by or state.name
        if state.name == SOURCE and state.name not in reasons and not source_was_read:
            reason = _source_reason(state, source_fingerprint)
            if reason is not None:
                reasons[state.name] = reason
    return Plan(reasons, blocked_by)


def _own_reason(state: AssetState, by_name: Mapping[str, AssetState]) -> str | None:
    made = state.made
    if made is None:
        return "it was never made"
    if state.lost is not None:
        return state.lost
    if state.code_version is not None and made.code_version != state.code_version:
        return f"its code or document changed ({made.code_version} to {state.code_version})"
    for name in state.upstream:
        reason = _input_reason(made, by_name[name])
        if reason is not None:
            return reason
    if not state.is_judged:
        return "a check of it did not come to its end"
    return None


def _input_reason(made: Made, upstream: AssetState) -> str | None:
    name, now = upstream.name, upstream.made
    if upstream.is_partitioned:
        is_newer = now is not None and now.made_at > made.made_at
        return f"a part of {name} was made since" if is_newer else None
    version = now.data_version if now is not None else None
    if made.inputs.get(name) != version:
        return f"{name} is another ({made.inputs.get(name)} to {version})"
    return None


def _source_reason(state: AssetState, now: str | None) -> str | None:
    then = state.made.source_fingerprint if state.made is not None else None
    if now is None:
        return "only reading its source tells whether it changed"
    return None if now == then else "its source changed"
