"""The policies that a backtest plays beside each other, as a document would have them.

Those that look at windows keep the guards of the model's own policy (cooldown, budget, breakers),
so that they differ in what they listen to and in nothing else.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from mlops_assets.spec import ModelSpec
from mlops_assets.spec.operations import ScheduleSpec
from mlops_assets.spec.retraining import BreakerSpec, BudgetSpec, RetrainingSpec

OWN = "own"
_NEVER_REACHED = 1_000_000
MEANINGS: Mapping[str, str] = {
    "never": "the first model for ever",
    "weekly": "every Monday",
    "monthly": "on the first of each month",
    "drift": "on any window whose inputs or predictions moved",
    "estimated": "on any window in which a trusted estimate says that performance fell",
    "realised": "on any window in which truth says that performance fell",
    "k_of_n": "the shipped policy: 3 of the last 5 windows, by any of these signals",
    OWN: "the model's own",
}
"""What each does, in the words of the docs."""


def standard_policies(spec: ModelSpec) -> dict[str, RetrainingSpec]:
    """All of them by name; the model's own last, when it has one."""
    own = spec.retraining or RetrainingSpec()
    calendar: dict[str, Any] = {
        "triggers": [],
        "new_rows": None,
        "cooldown": timedelta(0),
        "budget": BudgetSpec(runs=None),
        "breaker": BreakerSpec(refused_candidates=_NEVER_REACHED),
    }
    each: dict[str, Any] = {
        "new_rows": None,
        "schedule": None,
        "violations": 1,
        "of_windows": 1,
        "minimum_rows": 1,
    }
    shipped = RetrainingSpec(training_window=own.training_window)
    every_verdict = ["drift_harmful", "concept_drift", "drift_harmless", "not_enough_data"]
    policies = {
        "never": own.model_copy(update={**calendar, "schedule": None}),
        "weekly": own.model_copy(update={**calendar, "schedule": ScheduleSpec(cron="0 0 * * 1")}),
        "monthly": own.model_copy(update={**calendar, "schedule": ScheduleSpec(cron="0 0 1 * *")}),
        "drift": own.model_copy(update={**each, "triggers": ["drift"], "verdicts": every_verdict}),
        "estimated": own.model_copy(update={**each, "triggers": ["estimated"]}),
        "realised": own.model_copy(update={**each, "triggers": ["realised"]}),
        "k_of_n": shipped,
    }
    return policies if spec.retraining is None else {**policies, OWN: own}
