"""Policies in a world that is a few lines, so that each rule of the play is seen alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mlops_assets.backtest.judging import Judgement
from mlops_assets.backtest.policies import standard_policies
from mlops_assets.backtest.simulation import Played, Trained, play
from mlops_assets.monitoring.trust import EstimateError
from mlops_assets.monitoring.verdict import (
    DriftSignal,
    PerformanceSignal,
    QualitySignal,
    Signals,
    WindowFacts,
    judge_window,
)
from mlops_assets.monitoring.windows import Window, ended_windows
from mlops_assets.spec.retraining import RetrainingSpec
from mlops_assets_tests.backtest.pasts import START, past_spec

DAY = timedelta(days=1)


@dataclass
class SmallWorld:
    """Versions trained before a day do worse from that day on; truth is a day late."""

    bad_from: datetime = START + 30 * DAY
    n_days: int = 90
    refuses: bool = False
    begin: datetime = START
    quiet_days: tuple[int, ...] = ()
    asked: list[tuple[str, datetime]] = field(default_factory=list)

    @property
    def windows(self) -> Sequence[Window]:
        return ended_windows(self.begin, self.begin + self.n_days * DAY, "day")

    def n_rows(self, now: datetime) -> int:
        return 1_000 + 100 * (now - self.begin).days

    def train(self, now: datetime, champion: str | None) -> Trained:
        refused = "not better" if self.refuses and champion is not None else ""
        return Trained(now.isoformat(), refused, 2.0, self.n_rows(now))

    def is_due(self, window: Window, former: Judgement | None, now: datetime) -> bool:
        if former is None:
            return (window.start - self.begin).days not in self.quiet_days
        return former.n_truths == 0 and now >= window.end + DAY

    def judge(
        self,
        champion: str,
        window: Window,
        now: datetime,
        errors: list[EstimateError],  # noqa: ARG002 - of the protocol
    ) -> Judgement:
        self.asked.append((window.key, now))
        is_known = now >= window.end + DAY
        is_bad = window.start >= self.bad_from > datetime.fromisoformat(champion)
        state = ("worse" if is_bad else "held") if is_known else "unknown"
        signals = Signals(
            quality=QualitySignal(state="sound", reason=""),
            drift=DriftSignal(state="none", reason=""),
            estimated=PerformanceSignal(state="unknown", reason=""),
            realised=PerformanceSignal(state=state, reason="as truth says"),
        )
        facts = WindowFacts(
            model="small",
            model_version=champion,
            start=window.start,
            end=window.end,
            n_rows=300,
            n_with_truth=300 if is_known else 0,
        )
        verdict = judge_window(facts, signals, minimum_rows=30)
        return Judgement(verdict, (), 300 if is_known else 0)


POLICIES = standard_policies(past_spec(retraining={}))


def days(played: Played) -> list[int]:
    return [(attempt.started_at - START).days for attempt in played.attempts]


def test_never_keeps_the_first_model_and_judges_nothing() -> None:
    world = SmallWorld()
    played = play(world, "never", POLICIES["never"])
    assert (played.n_retrained, len(played.reigns), world.asked) == (0, 1, [])
    assert played.rules == {"quiet": 90}


def test_the_calendar_trains_whatever_happens() -> None:
    assert days(play(SmallWorld(), "weekly", POLICIES["weekly"])) == list(range(7, 91, 7))
    monthly = play(SmallWorld(), "monthly", POLICIES["monthly"])
    assert days(monthly) == [31, 60]  # 1 February and 1 March 2024
    assert monthly.cpu_minutes == 4.0


def test_the_calendar_goes_on_when_candidates_are_refused() -> None:
    played = play(SmallWorld(refuses=True), "weekly", POLICIES["weekly"])
    assert (played.n_retrained, played.n_promoted) == (12, 0)


def test_evidence_trains_once_truth_has_come() -> None:
    """The first bad window ends on day 31, its truth is there on day 32; three are needed."""
    assert days(play(SmallWorld(), "realised", POLICIES["realised"])) == [32]
    assert days(play(SmallWorld(), "k_of_n", POLICIES["k_of_n"])) == [34]


def test_windows_of_the_former_champion_call_for_nothing_more() -> None:
    played = play(SmallWorld(), "realised", POLICIES["realised"])
    assert played.n_retrained == 1
    assert [reign.since for reign in played.reigns] == [START, START + 32 * DAY]


def test_a_refused_candidate_does_not_serve_and_the_breaker_stops_it() -> None:
    policy = RetrainingSpec(cooldown=timedelta(0))
    played = play(SmallWorld(refuses=True), "k_of_n", policy)
    assert len(played.reigns) == 1
    assert [a.outcome for a in played.attempts] == ["refused"] * played.n_retrained
    assert played.n_retrained in (3, 4)  # three, and one more after the pause of 30 days
    assert played.rules["breaker"] > 20


def test_new_rows_train() -> None:
    policy = RetrainingSpec(triggers=[], new_rows=2_000)
    assert days(play(SmallWorld(), "rows", policy)) == [20, 40, 60, 80]


def test_a_window_is_judged_when_it_ends_and_once_more_with_its_truth() -> None:
    world = SmallWorld(n_days=10)
    play(world, "k_of_n", POLICIES["k_of_n"])
    of_first = [(now - START).days for key, now in world.asked if key == "2024-01-01"]
    assert of_first == [1, 2]


def test_a_window_that_is_not_due_is_not_judged_and_all_the_same_decided_after() -> None:
    world = SmallWorld(n_days=14, quiet_days=(5, 6))
    played = play(world, "k_of_n", POLICIES["k_of_n"])
    assert {key for key, _ in world.asked} == {f"2024-01-{d:02d}" for d in range(1, 15)} - {
        "2024-01-06",
        "2024-01-07",
    }
    assert sum(played.rules.values()) == played.n_windows == 14


def test_it_tells_how_far_it_is() -> None:
    told: list[int] = []
    play(SmallWorld(n_days=5), "never", POLICIES["never"], told.append)
    assert told == [1, 2, 3, 4, 5]
