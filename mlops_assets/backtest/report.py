"""What a backtest found: a record, the recommended policy as YAML, and a picture."""

import io
from collections.abc import Mapping, Sequence

import yaml
from pydantic import AwareDatetime

from mlops_assets.backtest.history import History
from mlops_assets.backtest.scoring import PolicyScore, recommend
from mlops_assets.backtest.simulation import Played
from mlops_assets.modeling.metrics import direction
from mlops_assets.monitoring.record import Record
from mlops_assets.spec.model import Metric
from mlops_assets.spec.retraining import RetrainingSpec

TOLERANCE = 0.01
"""How far behind the least regret a policy may stay that trains less."""

_INCHES, _DPI = (10.0, 6.5), 110
_RANKS = 8


class BacktestReport(Record):
    """What a backtest found.

    Attributes:
        model: Name of the model.
        metric: What is compared.
        begin: From when on it was played.
        end: Until when.
        n_rows: Rows that were played.
        n_windows: Windows that were judged.
        scores: Of each policy.
        played: What each policy did.
        recommended: Name of the policy to take.
        reason: Why.
        policy: The `retraining:` part of the document that it stands for, as YAML.
    """

    model: str
    metric: Metric
    begin: AwareDatetime
    end: AwareDatetime
    n_rows: int
    n_windows: int
    scores: tuple[PolicyScore, ...]
    played: tuple[Played, ...]
    recommended: str
    reason: str
    policy: str

    def score(self, policy: str) -> PolicyScore:
        """The score of one policy. `KeyError`: it was not played."""
        found = next((score for score in self.scores if score.policy == policy), None)
        if found is None:
            raise KeyError(policy)
        return found


def build_report(
    history: History,
    policies: Mapping[str, RetrainingSpec],
    played: Sequence[Played],
    scores: Sequence[PolicyScore],
) -> BacktestReport:
    """The report of policies that were played."""
    chosen, reason = recommend(scores, TOLERANCE)
    return BacktestReport(
        model=history.spec.name,
        metric=history.spec.metric,
        begin=history.begin,
        end=history.end,
        n_rows=history.log.height,
        n_windows=len(history.windows()),
        scores=tuple(scores),
        played=tuple(played),
        recommended=chosen,
        reason=reason,
        policy=policy_yaml(policies[chosen]),
    )


def policy_yaml(policy: RetrainingSpec) -> str:
    """A policy as it stands in a document; what is by default is left out."""
    document = policy.model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump({"retraining": document}, sort_keys=False, default_flow_style=None)


def draw_report(report: BacktestReport) -> bytes:
    """A PNG: the metric by period of each policy, and under it when each of them trained."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_INCHES, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, height_ratios=[2, 1])
    for number, score in enumerate(report.scores):
        color = f"C{number % _RANKS}"
        values = [float("nan") if v is None else v for v in score.by_period.values()]
        told = "?" if score.mean is None else f"{score.mean:.3f}"
        above.plot(list(score.by_period), values, marker="o", color=color, markersize=3,
                   label=f"{score.policy}: {told}, {score.n_retrained} retrainings")  # fmt: skip
    for number, played in enumerate(report.played):
        color = f"C{number % _RANKS}"
        for promoted, marker in ((True, "o"), (False, "x")):
            at = [a.started_at for a in played.attempts if (a.outcome == "promoted") == promoted]
            below.scatter(at, [number] * len(at), marker=marker, color=color, s=16)
    better = "higher" if direction(report.metric) > 0 else "lower"
    above.set_ylabel(f"{report.metric} ({better} is better)")
    above.set_title(f"{report.model}: {report.n_rows:,} rows, {report.n_windows:,} windows")
    above.legend(fontsize=8)
    above.tick_params(axis="x", rotation=30)
    below.set_yticks(range(len(report.played)), [played.policy for played in report.played])
    below.set_xlim(report.begin, report.end)
    below.invert_yaxis()
    below.set_title("retrainings: dot promoted, cross refused", fontsize=9)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()
