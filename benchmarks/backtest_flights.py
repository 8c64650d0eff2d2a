"""Retraining policies on a year of real flights: quality, retrainings and compute.

    python benchmarks/backtest_flights.py [--policy NAME ...] [--processes 2]

Plays the past of flight_delay from February to December 2013, as `mlops-assets backtest` does:
real rows, features, training, gates, verdicts and decisions, truth as late as it truly came.
Limits: the policy of the document reaches `monthly` − 0.01 in the mean monthly ROC-AUC with at most
half its retrainings, and `never` + 0.02. Exit 1: one is missed.
"""

import argparse
import os
import sys
import time
import warnings
from pathlib import Path

from mlops_assets.backtest.history import read_history
from mlops_assets.backtest.policies import OWN, standard_policies
from mlops_assets.backtest.report import BacktestReport
from mlops_assets.backtest.running import run_backtest
from mlops_assets.spec.reading import read_document

DOCUMENT = Path(__file__).parents[1] / "mlops_assets" / "defs" / "flight_delay" / "defs.yaml"
BEHIND_MONTHLY, ABOVE_NEVER = 0.01, 0.02
COMPARED = ("never", "monthly", OWN)


def print_table(report: BacktestReport) -> None:
    """Markdown."""
    months = [name.removeprefix("2013-") for name in report.scores[0].by_period]
    heads = ["policy", "mean", "regret", "retrainings", "promoted", "CPU min", *months]
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    for score in report.scores:
        values = ["?" if v is None else f"{v:.3f}" for v in score.by_period.values()]
        cells = [
            score.policy,
            "?" if score.mean is None else f"{score.mean:.4f}",
            "?" if score.regret is None else f"{score.regret:.4f}",
            str(score.n_retrained),
            str(score.n_promoted),
            f"{score.cpu_minutes:.1f}",
            *values,
        ]
        print("| " + " | ".join(cells) + " |")


def find_missed(report: BacktestReport) -> list[str]:
    """The limits that are missed, in words."""
    never, monthly, own = (report.score(name) for name in COMPARED)
    assert never.mean is not None
    assert monthly.mean is not None
    assert own.mean is not None
    limits = {
        f"monthly − {BEHIND_MONTHLY:g}": own.mean >= monthly.mean - BEHIND_MONTHLY,
        "half the retrainings of monthly": own.n_retrained <= monthly.n_retrained / 2,
        f"never + {ABOVE_NEVER:g}": own.mean >= never.mean + ABOVE_NEVER,
    }
    return [words for words, is_met in limits.items() if not is_met]


def main() -> int:
    """Prints the table; 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policy", action="append", help="beside never, monthly and own")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    began = time.monotonic()
    spec = read_document(DOCUMENT)
    history = read_history(spec, DOCUMENT.parent)
    known = standard_policies(spec)
    if unknown := sorted({*(arguments.policy or ())} - {*known}):
        parser.error(f"no policy {', '.join(unknown)}; there are {', '.join(known)}")
    wanted = {*COMPARED, *(arguments.policy or known)}
    policies = {name: policy for name, policy in known.items() if name in wanted}

    def tell(name: str, done: int, total: int) -> None:
        if done % 30 == 0 or done == total:
            took = time.monotonic() - began
            print(f"{took:6.0f} s  {name}: {done} of {total} windows", file=sys.stderr, flush=True)

    report = run_backtest(history, policies, processes=arguments.processes, progress=tell)
    print_table(report)
    for played in report.played:
        if played.policy == OWN:
            for attempt in played.attempts:
                print(f"\n{attempt.started_at:%Y-%m-%d} {attempt.outcome}: {attempt.reason}")
    missed = find_missed(report)
    print(f"\nrecommended: {report.reason}")
    print(f"{time.monotonic() - began:.0f} s; limits missed: {', '.join(missed) or 'none'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
