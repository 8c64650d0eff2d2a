"""How long to go on without the API server before a run counts as lost. Pure but for its memory.

A failed question about a run's worker says nothing about the worker: it needs no API server to go
on. So the run counts as running, until nobody could be asked for longer than the patience.
"""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Outages:
    """Since when each run cannot be asked about. Forgotten when the process restarts."""

    patience_seconds: float
    _since: dict[str, float] = field(default_factory=dict)

    def answered(self, run_id: str) -> None:
        """Somebody could be asked about the run."""
        self._since.pop(run_id, None)

    def is_lost(self, run_id: str, now: float) -> bool:
        """Whether a run that cannot be asked about at this time counts as lost.

        >>> outages = Outages(patience_seconds=60)
        >>> [outages.is_lost("r", now) for now in (0.0, 60.0, 60.5)]
        [False, False, True]
        >>> outages.answered("r")
        >>> outages.is_lost("r", 61.0)
        False
        """
        return now - self._since.setdefault(run_id, now) > self.patience_seconds
