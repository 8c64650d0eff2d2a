"""Trends across windows for people: PNG bytes, drawn with matplotlib's object interface."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlops_assets.monitoring.verdict import Verdict
from mlops_assets.monitoring.window_record import RecentWindow

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BLUE, _ORANGE, _GREY, _RED, _GREEN = "#1f5fa8", "#d9722b", "#8a8f98", "#b03a48", "#3a8f5c"
_COLOURS: dict[Verdict, str] = {
    "healthy": _GREEN,
    "drift_harmless": _BLUE,
    "drift_harmful": _RED,
    "concept_drift": _RED,
    "broken_data": "#23272e",
    "not_enough_data": _GREY,
}
_MOST_WINDOWS = 60


def draw_drift(model: str, windows: Sequence[RecentWindow]) -> bytes:
    """The share of the importance that moved, window by window, coloured by the verdict."""
    shown = list(windows)[-_MOST_WINDOWS:]
    figure, axes = _figure(f"{model}: drift by window")
    shares = [w.drift_share if w.drift_share is not None else 0.0 for w in shown]
    axes.bar(range(len(shown)), shares, color=[_COLOURS[w.verdict.verdict] for w in shown])
    axes.set(ylim=(0, 1.02), ylabel="share of the importance that moved")
    _finish(axes, shown)
    return _png(figure)


def draw_performance(model: str, metric: str, windows: Sequence[RecentWindow]) -> bytes:
    """The metric window by window: as truth says, and as it was estimated."""
    shown = list(windows)[-_MOST_WINDOWS:]
    figure, axes = _figure(f"{model}: {metric} by window")
    lines = (
        ("realised", _BLUE, "-", [w.realised for w in shown]),
        ("estimated", _ORANGE, "--", [w.estimated for w in shown]),
    )
    for label, colour, style, values in lines:
        known = [(at, value) for at, value in enumerate(values) if value is not None]
        if known:
            axes.plot(*zip(*known, strict=True), color=colour, linestyle=style, label=label,
                      marker="o", markersize=3.5)  # fmt: skip
    for at, w in enumerate(shown):
        if w.verdict.verdict in ("drift_harmful", "concept_drift", "broken_data"):
            axes.axvspan(at - 0.5, at + 0.5, color=_COLOURS[w.verdict.verdict], alpha=0.12)
    axes.set_ylabel(metric)
    if any(w.realised is not None or w.estimated is not None for w in shown):
        axes.legend(fontsize=8, frameon=False)
    _finish(axes, shown)
    return _png(figure)


def _finish(axes: "Axes", shown: Sequence[RecentWindow]) -> None:
    step = max(1, len(shown) // 8)
    places = list(range(0, len(shown), step))
    names = [shown[at].window.key for at in places]
    axes.set_xticks(places, names, fontsize=7, rotation=30, ha="right")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, axis="y", color="#e6e8eb", linewidth=0.8)
    axes.set_axisbelow(True)


def _figure(title: str) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 2.9), dpi=90, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.02, ha="left", fontsize=11)
    return figure, figure.add_subplot()


def _png(figure: Any) -> bytes:
    opened = io.BytesIO()
    figure.savefig(opened, format="png")
    return opened.getvalue()
