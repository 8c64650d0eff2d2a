"""The presets as pictures: the stages of a rollout in their order, and what each waits for.

`python -m mlops_assets.rollout.timeline docs/rollouts.md` writes them into the page, between its
two marks; a test keeps them current.
"""

import sys
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from mlops_assets.rollout.measures import Moments
from mlops_assets.rollout.policy import RolloutPolicy
from mlops_assets.rollout.presets import PRESETS, resolve_policy
from mlops_assets.rollout.sequential import error_difference
from mlops_assets.spec.base import write_duration
from mlops_assets.spec.rollout import RolloutSpec

BEGIN, END = "<!-- made from the presets: make docs -->", "<!-- end of what is made -->"

_BARS = " ▁▂▃▄▅▆▇█"
_NOTHING = timedelta(0)


@dataclass(frozen=True, slots=True)
class _Stage:
    """One column of the picture."""

    name: str
    percent: int
    lasts: str
    needs: str
    mirrored: bool = False


def draw(policy: RolloutPolicy) -> str:
    """The stages side by side: what the challenger gets, how long, and what it must show.

    >>> print(draw(resolve_policy(RolloutSpec(strategy="blue_green"))))
    stage   start           100 %      done
    traffic                 █          █
    lasts   until ready     30m        -
    needs   its examples    no harm    -
    v old   serves          warm       stops 1h after promotion
    """
    stages = list(_stages(policy))
    rows = [
        ("stage", [stage.name for stage in stages]),
        ("traffic", [_bar(stage) for stage in stages]),
        ("lasts", [stage.lasts for stage in stages]),
        ("needs", [stage.needs for stage in stages]),
        ("v old", _former(policy, stages)),
    ]
    widths = [max(len(cells[column]) for _, cells in rows) + 4 for column in range(len(stages))]
    lines = [
        f"{name:<8}" + "".join(f"{cell:<{w}}" for cell, w in zip(cells, widths, strict=True))
        for name, cells in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def requests_needed(error_ratio: float, margin: float, alpha: float = 0.05) -> int:
    """Requests of the challenger after which a step passes, if both versions make as many errors.

    With nine times as many requests of the stable version, as in a step of 10 %.

    >>> requests_needed(0.0, 0.02)
    650
    """

    def passes(n: int) -> bool:
        one, other = _arm(n, error_ratio), _arm(9 * n, error_ratio)
        found = error_difference(one, other, effect=margin, alpha_low=alpha, alpha_high=alpha)
        return found.high <= margin

    return 50 * bisect_left(range(200_000), True, lo=1, key=lambda fifties: passes(50 * fifties))


def _arm(n: int, error_ratio: float) -> Moments:
    """An arm with just the errors that are to be expected."""
    errors = n * error_ratio
    return Moments(n=n, n_units=n, total=errors, size_squares=n, cross=errors, squares=errors)


def build_section() -> str:
    """What stands between the marks of the page."""
    parts = [BEGIN, ""]
    for strategy in PRESETS:
        policy = resolve_policy(RolloutSpec(strategy=strategy))
        parts += [f"### `{strategy}`", "", _DESCRIPTIONS[strategy], ""]
        parts += ["```", draw(policy), "```", "", _limits(policy), ""]
    parts += ["### How many requests a step needs", "", _NEEDED, ""]
    margins = (0.005, 0.01, 0.02, 0.05)
    parts.append("| errors of both | " + " | ".join(f"margin {m:.1%}" for m in margins) + " |")
    parts.append("|---" * (len(margins) + 1) + "|")
    for ratio in (0.0, 0.001, 0.01, 0.05):
        cells = [f"{requests_needed(ratio, margin):,}" for margin in margins]
        parts.append(f"| {ratio:.1%} | " + " | ".join(cells) + " |")
    return "\n".join([*parts, "", END])


def write_section(page: Path) -> None:
    """Puts what is made into the page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(before + build_section() + after, encoding="utf-8")


_DESCRIPTIONS = {
    "rolling": "Quick steps. Errors can stop it; nothing else is analysed. A step passes on its "
    "fewest requests and without proven harm.",
    "canary": "Each step passes by evidence: proven to be within the margins of the version that "
    "serves at the same time.",
    "blue_green": "No traffic until it answers its examples, then all of it at once. It is "
    "compared with what the former version was proven to keep.",
    "ab_test": "An even split until quality, from ground truth, is proven to be within its margin. "
    "The split itself is checked first; where it is off, nothing is read and a person is asked.",
    "shadow": "A copy of each request goes to the new version first and its answers reach nobody; "
    "then it is a canary. With `steps: []` it is promoted from the shadow. Where more than 20 % of "
    "the answers differ from the serving version's, a person is asked.",
}

_NEEDED = (
    "Requests of the new version until `error_ratio` is healthy, when both versions make the same "
    "share of errors and the serving one gets nine times as many. Harm takes less: a version that "
    "fails every second request is rolled back after about 20."
)


def _stages(policy: RolloutPolicy) -> Iterator[_Stage]:
    verified = "its examples" if policy.verify else "-"
    yield _Stage("start", 0, "until ready", verified)
    passing = "healthy" if any(c.required for c in policy.criteria) else "no harm"
    least = f"≥ {write_duration(policy.interval)}"
    if policy.shadow is not None:
        needs = f"{policy.shadow.minimum_samples} mirrored, {passing}"
        yield _Stage("mirrored", 0, least, needs, mirrored=True)
    for percent in policy.steps:
        needs = f"{policy.minimum_samples} requests, {passing}"
        yield _Stage(f"{percent} %", percent, least, needs)
    if policy.steps and policy.bake_time > _NOTHING:
        bake = write_duration(policy.bake_time)
        yield _Stage("bake", policy.steps[-1], bake, f"still {passing}")
    if policy.watch > _NOTHING:
        yield _Stage("100 %", 100, write_duration(policy.watch), "no harm")
    yield _Stage("done", 100, "-", "-")


def _bar(stage: _Stage) -> str:
    if stage.mirrored:
        return "copies"
    return _BARS[min(8, (stage.percent * 8 + 99) // 100)].strip()


def _former(policy: RolloutPolicy, stages: Sequence[_Stage]) -> list[str]:
    serving = ["serves" if stage.percent < 100 else "warm" for stage in stages[:-1]]
    return [*serving, f"stops {write_duration(policy.warm_standby)} after promotion"]


def _limits(policy: RolloutPolicy) -> str:
    seconds = len(policy.steps) + (policy.shadow is not None)
    fastest = policy.interval * seconds + (policy.bake_time if policy.steps else _NOTHING)
    names = ", ".join(f"`{c.title}`" for c in policy.criteria)
    return (
        f"Looks every {write_duration(policy.interval)}. Fastest promotion: "
        f"{write_duration(fastest) + ' after' if fastest else 'when'} it is ready. At most "
        f"{write_duration(policy.maximum_duration)}, then `inconclusive`. Judged by {names}."
    )


if __name__ == "__main__":
    write_section(Path(sys.argv[1]))
