"""Pictures of a candidate on the rows that validate it: PNG bytes by file name.

Drawn with matplotlib's object interface, without pyplot: no global state, no display, and safe in
threads.
"""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlops_assets.modeling.calibration import assess_calibration
from mlops_assets.modeling.contestants import Contestant, answer, truth
from mlops_assets.modeling.features import VALIDATES, BuiltFrame
from mlops_assets.modeling.importance import FeatureImportance, estimate_importance
from mlops_assets.modeling.metrics import Floats, class_statistic
from mlops_assets.spec import ModelSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Draw = Callable[["Axes"], None]

_BLUE, _ORANGE, _GREY = "#1f5fa8", "#d9722b", "#8a8f98"
_LINES = (_BLUE, _ORANGE, "#3a8f5c", "#8e5ea2", "#b03a48", "#5b6770", "#c2a030", "#2f9aa0")
_MOST_CLASSES = len(_LINES)  # curves in one picture
_MOST_FEATURES = 20
_MOST_POINTS = 2_000
_INCHES, _DPI = (6.4, 4.8), 110


def draw_plots(
    spec: ModelSpec,
    built: BuiltFrame,
    candidate: Contestant,
    importances: list[FeatureImportance] | None = None,
) -> dict[str, bytes]:
    """ROC, precision and recall, calibration, confusion, residuals and permutation importance, as
    far as they go with the task: `{"roc.png": b"...", ...}`. Empty without validation rows.

    `importances` are estimated unless they are known.
    """
    rows = built.frame.filter(built.frame[VALIDATES])
    if rows.height == 0:
        return {}
    found, answers = truth(rows, built.facts.classes), answer(candidate, rows, built.facts.classes)
    if built.facts.classes is None:
        drawings = _number_drawings(spec, found, answers)
    else:
        drawings = _class_drawings(spec, found, answers, _names(built))
    known = estimate_importance(spec, built, candidate) if importances is None else importances
    if known:
        drawings["importance.png"] = lambda axes: _draw_importance(axes, known, spec)
    subject = f"{spec.name}, {rows.height:,} validation rows"
    return {name: _paint(draw, subject) for name, draw in drawings.items()}


def _names(built: BuiltFrame) -> list[str]:
    """What the classes are called: those of a binary target by the value that means yes."""
    if built.facts.positive is not None:
        return [f"not {built.facts.positive}", str(built.facts.positive)]
    return [str(label) for label in built.facts.classes or []]


def _paint(draw: Draw, subject: str) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_INCHES, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color="#e6e8eb", linewidth=0.8)
    axes.set_axisbelow(True)
    draw(axes)
    figure.suptitle(axes.get_title(), x=0.02, ha="left", fontsize=12, fontweight="bold")
    axes.set_title(subject, loc="left", fontsize=9, color=_GREY)
    axes.set_title("")
    opened = io.BytesIO()
    figure.savefig(opened, format="png")
    return opened.getvalue()


def _class_drawings(
    spec: ModelSpec, found: NDArray[Any], answers: Floats, names: list[str]
) -> dict[str, Draw]:
    return {
        "roc.png": lambda axes: _draw_roc(axes, found, answers, names),
        "precision_recall.png": lambda axes: _draw_precision_recall(axes, found, answers, names),
        "calibration.png": lambda axes: _draw_calibration(axes, spec, found, answers),
        "confusion.png": lambda axes: _draw_confusion(axes, found, answers, names),
    }


def _number_drawings(spec: ModelSpec, found: Floats, answers: Floats) -> dict[str, Draw]:
    return {
        "residuals.png": lambda axes: _draw_residuals(axes, found, answers),
        "calibration.png": lambda axes: _draw_calibration(axes, spec, found, answers),
    }


def _curves(found: NDArray[Any], names: list[str]) -> list[tuple[int, str]]:
    """The classes that get a curve, with their names: the positive one of two, else the largest."""
    if len(names) == 2:
        return [(1, names[1])]
    counts = np.bincount(found, minlength=len(names))
    return [(int(k), names[k]) for k in np.argsort(-counts)[:_MOST_CLASSES] if counts[k]]


def _above(found: NDArray[Any], answers: Floats, k: int) -> tuple[Floats, Floats]:
    """Rows of class k and of the others at or above each threshold, from the highest down."""
    order = np.argsort(-answers[:, k], kind="stable")
    score = answers[order, k]
    is_class = (found[order] == k).astype(np.float64)
    last = np.r_[score[1:] != score[:-1], True]
    return np.cumsum(is_class)[last], np.cumsum(1 - is_class)[last]


def _value(metric: Any, found: NDArray[Any], answers: Floats, k: int) -> float:
    two = np.stack([1 - answers[:, k], answers[:, k]], axis=1)
    statistic = class_statistic(metric, (found == k).astype(np.int64), two)
    return float(statistic(np.ones((found.size, 1)))[0])


def _draw_roc(axes: "Axes", found: NDArray[Any], answers: Floats, names: list[str]) -> None:
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", linewidth=1, label="chance (0.500)")
    for (k, name), colour in zip(_curves(found, names), _LINES, strict=False):
        hits, alarms = _above(found, answers, k)
        rates = [np.r_[0, alarms / max(alarms[-1], 1)], np.r_[0, hits / max(hits[-1], 1)]]
        area = _value("roc_auc", found, answers, k)
        axes.plot(*rates, color=colour, linewidth=1.8, label=f"{name} (area {area:.3f})")
    axes.set(title="ROC curve", xlabel="false positive rate", ylabel="true positive rate")
    axes.set(xlim=(0, 1), ylim=(0, 1.01), aspect="equal")
    axes.legend(loc="lower right", fontsize=8, frameon=False)


def _draw_precision_recall(
    axes: "Axes", found: NDArray[Any], answers: Floats, names: list[str]
) -> None:
    for (k, name), colour in zip(_curves(found, names), _LINES, strict=False):
        hits, alarms = _above(found, answers, k)
        share = float((found == k).mean())
        average = _value("average_precision", found, answers, k)
        label = f"{name} (average {average:.3f}, share {share:.3f})"
        recall, precision = hits / max(hits[-1], 1), hits / (hits + alarms)
        axes.step(recall, precision, where="pre", color=colour, linewidth=1.8, label=label)
        axes.axhline(share, color=colour, linestyle="--", linewidth=0.8)
    axes.set(title="Precision and recall", xlabel="recall", ylabel="precision")
    axes.set(xlim=(0, 1), ylim=(0, 1.01))
    axes.legend(loc="upper right", fontsize=8, frameon=False)


def _draw_calibration(axes: "Axes", spec: ModelSpec, found: NDArray[Any], answers: Floats) -> None:
    calibration = assess_calibration(found, answers, spec.target.task)
    predicted = [entry.mean_predicted for entry in calibration.bins]
    observed = [entry.mean_observed for entry in calibration.bins]
    ends = [min([*predicted, *observed], default=0), max([*predicted, *observed], default=1)]
    axes.plot(ends, ends, color=_GREY, linestyle="--", linewidth=1, label="perfect")
    if calibration.error is None:
        label = calibration.reason
    else:
        label = f"bins of equal count (error {calibration.error:.3f})"
    axes.plot(predicted, observed, color=_BLUE, marker="o", markersize=5, label=label)
    of = {
        "binary": ("mean predicted probability", "observed share"),
        "multiclass": ("mean probability of the predicted class", "share that is right"),
        "regression": ("mean prediction", "mean target"),
    }[spec.target.task]
    axes.set(title="Calibration", xlabel=of[0], ylabel=of[1])
    axes.legend(loc="upper left", fontsize=8, frameon=False)


def _draw_confusion(axes: "Axes", found: NDArray[Any], answers: Floats, names: list[str]) -> None:
    n_classes = len(names)
    cells = found * n_classes + answers.argmax(axis=1)
    counts = np.bincount(cells, minlength=n_classes**2).reshape(n_classes, n_classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.grid(visible=False)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    if n_classes <= 12:
        for i, j in np.ndindex(n_classes, n_classes):
            colour = "white" if shares[i, j] > 0.55 else "#23272e"
            text = f"{counts[i, j]:,}\n{shares[i, j]:.0%}"
            axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=9)
        axes.set_xticks(range(n_classes), names)
        axes.set_yticks(range(n_classes), names)
    axes.set(title="Confusion (share of each actual class)", xlabel="predicted", ylabel="actual")


def _draw_residuals(axes: "Axes", found: Floats, answers: Floats) -> None:
    residuals = found - answers
    step = max(1, found.size // _MOST_POINTS)
    axes.axhline(0, color=_GREY, linestyle="--", linewidth=1)
    axes.scatter(answers[::step], residuals[::step], s=9, alpha=0.45, color=_BLUE, linewidths=0)
    middle, spread = float(residuals.mean()), float(residuals.std())
    axes.set(
        title="Residuals",
        xlabel="prediction",
        ylabel=f"target less prediction (mean {middle:.3g}, deviation {spread:.3g})",
    )


def _draw_importance(axes: "Axes", importances: list[FeatureImportance], spec: ModelSpec) -> None:
    shown = importances[:_MOST_FEATURES][::-1]
    places = range(len(shown))
    axes.barh(
        places,
        [entry.loss for entry in shown],
        xerr=[entry.spread for entry in shown],
        color=_BLUE,
        ecolor=_GREY,
        height=0.7,
    )
    axes.set_yticks(places, [entry.name for entry in shown], fontsize=8)
    axes.grid(visible=False, axis="y")
    axes.axvline(0, color=_GREY, linewidth=0.8)
    left_out = len(importances) - len(shown)
    title = (
        f"Permutation importance ({left_out} weaker ones left out)"
        if left_out
        else ("Permutation importance")
    )
    axes.set(title=title, xlabel=f"{spec.metric} lost when the feature is shuffled")
