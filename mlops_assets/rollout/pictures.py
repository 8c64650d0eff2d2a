"""Pictures of a rollout for people: PNG bytes, drawn with matplotlib's object interface.

Traffic and each criterion's interval over time; and, of a shadow, how often both versions agree.
"""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlops_assets.rollout.history import Evaluation, Reading
from mlops_assets.rollout.shadow_report import ShadowReport
from mlops_assets.rollout.state import RolloutState

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BLUE, _ORANGE, _GREY, _RED, _GREEN = "#1f5fa8", "#d9722b", "#8a8f98", "#b03a48", "#3a8f5c"
_COLOURS = {"harmful": _RED, "healthy": _GREEN, "undecided": _BLUE, "unknown": _GREY}
_MOST_CRITERIA = 8
_DPI = 90


def draw_rollout(state: RolloutState) -> bytes:
    """The share of the new version over time, and each criterion's interval under it."""
    titles = _titles(state.history)
    figure = _figure(1 + len(titles))
    axes = figure.subplots(1 + len(titles), 1, sharex=True, squeeze=False)[:, 0]
    name = f"v{state.challenger.version} beside v{state.stable.version}"
    figure.suptitle(f"{state.model}: {name}: {state.phase}", x=0.02, ha="left", fontsize=11)
    _draw_traffic(axes[0], state)
    for place, (title, test) in zip(axes[1:], titles, strict=True):
        _draw_readings(place, state, title, test)
    axes[-1].set_xlabel("minutes since the rollout began")
    if titles:
        words = "interval: green healthy, blue undecided, red harmful; dashed: allowed"
        figure.supxlabel(words, fontsize=8, color=_GREY)
    return _png(figure)


def draw_shadow(report: ShadowReport) -> bytes:
    """Both versions' scores against each other, and the agreement of each slice."""
    figure = _figure(2 if report.slices else 1, inches_each=2.6)
    places = figure.subplots(2 if report.slices else 1, 1, squeeze=False)[:, 0]
    agreement = f"{report.agreement_ratio:.1%}" if report.agreement_ratio is not None else "–"
    title = f"agreement {agreement} of {report.n_pairs:,} mirrored rows"
    figure.suptitle(title, x=0.02, ha="left", fontsize=11)
    left, right = zip(*report.points, strict=True) if report.points else ((), ())
    places[0].scatter(left, right, s=8, alpha=0.4, color=_BLUE, linewidths=0)
    ends = [min([*left, *right], default=0.0), max([*left, *right], default=1.0)]
    places[0].plot(ends, ends, color=_GREY, linestyle="--", linewidth=1)
    places[0].set(xlabel="score of the serving version", ylabel="score of the new one")
    if report.slices:
        rows = report.slices[:12][::-1]
        names = [f"{each.feature} = {each.value}" for each in rows]
        places[1].barh(range(len(rows)), [each.agreement_ratio for each in rows], color=_BLUE)
        places[1].set_yticks(range(len(rows)), names, fontsize=7)
        places[1].set(xlim=(0, 1), xlabel="share of rows with the same answer")
    return _png(figure)


def _titles(history: Sequence[Evaluation]) -> Sequence[tuple[str, str]]:
    """The comparisons that are drawn: those of the whole, not of slices, the first few."""
    found = dict.fromkeys(
        (reading.criterion, reading.test)
        for evaluation in history
        for reading in evaluation.readings
        if "[" not in reading.criterion and reading.difference is not None
    )
    return list(found)[:_MOST_CRITERIA]


def _draw_traffic(axes: "Axes", state: RolloutState) -> None:
    minutes = [_minutes(state, evaluation) for evaluation in state.history]
    shares = [evaluation.traffic.challenger for evaluation in state.history]
    axes.step([0, *minutes], [0, *shares], where="post", color=_ORANGE, linewidth=1.8)
    mirrored = [m for m, e in zip(minutes, state.history, strict=True) if e.traffic.shadow]
    if mirrored:
        axes.axvspan(min(mirrored), max(mirrored), color=_GREY, alpha=0.15, label="mirrored")
        axes.legend(fontsize=7, frameon=False)
    axes.set(ylim=(-3, 103), ylabel="% of requests")


def _draw_readings(axes: "Axes", state: RolloutState, title: str, test: str) -> None:
    known: list[tuple[float, Reading]] = [
        (_minutes(state, evaluation), reading)
        for evaluation in state.history
        for reading in evaluation.readings
        if (reading.criterion, reading.test) == (title, test) and reading.difference is not None
    ]
    at = [minute for minute, _ in known]
    middle = [float(reading.difference or 0.0) for _, reading in known]
    axes.plot(at, middle, color=_GREY, linewidth=0.8)
    limit = known[-1][1].limit if known else None
    for minute, reading in known:
        if reading.low is not None and reading.high is not None:
            colour = _COLOURS[reading.verdict]
            axes.plot([minute, minute], [reading.low, reading.high], color=colour, linewidth=1.6)
    if limit is not None:
        axes.axhline(limit, color=_RED, linestyle="--", linewidth=1)
        reach = max([abs(value) for value in middle] + [abs(limit), 1e-9]) * 3
        axes.set_ylim(-reach, reach)
    axes.set_ylabel(f"{title}\nworse by" if test == "margin" else f"{title}\nbeyond", fontsize=8)


def _minutes(state: RolloutState, evaluation: Evaluation) -> float:
    return (evaluation.at - state.started_at).total_seconds() / 60


def _figure(n_rows: int, inches_each: float = 1.5) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 1.0 + inches_each * n_rows), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Any) -> bytes:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(visible=True, color="#e6e8eb", linewidth=0.8)
        axes.set_axisbelow(True)
    opened = io.BytesIO()
    figure.savefig(opened, format="png")
    return opened.getvalue()
