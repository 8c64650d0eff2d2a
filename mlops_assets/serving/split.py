"""How the requests of a service are shared: what a rollout changes while its revisions stay. Pure.

The split stands in a file of its own (`home.py`), not in the manifest: a cluster copies a
manifest's annotations to its pods, which would restart them at each step of a rollout. It names
declared revisions; one that names others speaks of an older manifest, and the manifest's own
percents hold until the next split.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from mlops_assets.errors import ServingError


@dataclass(frozen=True, slots=True)
class Split:
    """Who gets which share, and who gets copies.

    Attributes:
        percent: Share of each revision, by name; together 100. What is left out gets none.
        shadow: Revision that gets a copy of each request and whose answers reach nobody.
    """

    percent: Mapping[str, int]
    shadow: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The form in which it is stored."""
        return {"percent": dict(self.percent), "shadow": self.shadow}

    def fits(self, revisions: Collection[str]) -> bool:
        """Whether all that it names is declared."""
        return {*self.percent, *([self.shadow] if self.shadow else [])} <= set(revisions)


def read_split(content: Mapping[str, Any]) -> Split:
    """The split of its stored form.

    Raises:
        ServingError: it is none; says what is wrong.
    """
    try:
        percent = {str(name): int(share) for name, share in content["percent"].items()}
        shadow = content.get("shadow")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ServingError(f"a split of requests cannot be read: {error!r}") from error
    split = Split(percent, None if shadow is None else str(shadow))
    require_split(split)
    return split


def require_split(split: Split, revisions: Collection[str] | None = None) -> None:
    """Refuse a split that nothing could follow.

    Args:
        split: What is asked for.
        revisions: Names of the declared revisions; None does not ask about them.

    Raises:
        ServingError: shares do not sum to 100, the shadow has one, or a revision is not declared.
    """
    shares = list(split.percent.values())
    if any(not 0 <= share <= 100 for share in shares) or sum(shares) != 100:
        raise ServingError(f"expected percents of 0 to 100 that sum to 100, found {split.percent}")
    if split.shadow is not None and split.percent.get(split.shadow, 0):
        raise ServingError(
            f"shadow {split.shadow}: expected a revision without a share, found "
            f"{split.percent[split.shadow]} %"
        )
    if revisions is not None and not split.fits(revisions):
        named = {*split.percent, *([split.shadow] if split.shadow else [])}
        unknown = ", ".join(sorted(named - set(revisions)))
        raise ServingError(f"expected declared revisions ({', '.join(revisions)}), found {unknown}")
