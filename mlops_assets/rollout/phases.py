"""Where a rollout stands: a closed set of phases, the same words in state, pages and documents.

pending           the challenger starts; it has no traffic
shadow            it gets a copy of each request
step              it has its share of step k
baking            the last step has passed and is held for a while
awaiting_approval a person is asked
promoting         traffic and aliases go to it, all at once
watching          it serves everybody and is watched; the former version is warm
succeeded         it stays
rolling_back      traffic goes back to the stable version
rolled_back       ended: harm, nothing proven in time, or a person's word
failed            ended: the challenger could not run
aborted           ended: a person stopped it, or a newer version took its place
"""

from typing import Literal, get_args

Phase = Literal[
    "pending",
    "shadow",
    "step",
    "baking",
    "awaiting_approval",
    "promoting",
    "watching",
    "succeeded",
    "rolling_back",
    "rolled_back",
    "failed",
    "aborted",
]


Ending = Literal["rolled_back", "failed", "aborted"]


ENDED: tuple[Phase, ...] = ("succeeded", "rolled_back", "failed", "aborted")


PROMOTED: tuple[Phase, ...] = ("promoting", "watching", "succeeded")
"""Phases in which the challenger is, or becomes, the champion."""


def phases() -> tuple[Phase, ...]:
    """All phases, in the order in which a rollout may see them."""
    return get_args(Phase)
