"""What facts of this machine mean. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from mlops_assets.doctor.finding import Finding, Unanswered

_FREE_BYTES, _FREE_BYTES_AT_LEAST = 5_000_000_000, 1_000_000_000
_MEMORY_BYTES = 2_000_000_000
_CLOCK = timedelta(seconds=60)


def judge_python(version: tuple[int, int]) -> Finding:
    """The interpreter."""
    found = f"Python {version[0]}.{version[1]}"
    if version == (3, 11):
        return Finding("python", "fine", found)
    mend = "set it up with Python 3.11: make clean && make lint PYTHON=python3.11"
    return Finding("python", "broken", f"{found}, needed: 3.11", mend)


def judge_packages(wrong: Sequence[str]) -> Finding:
    """The installed packages; `wrong` says of each what is installed and what is needed."""
    if not wrong:
        return Finding("packages", "fine", "all installed as required")
    mend = "rm .venv/.installed && make lint, which installs what requirements.lock says"
    return Finding("packages", "broken", "; ".join(wrong), mend)


@dataclass(frozen=True, slots=True)
class Place:
    """A folder and the disk under it."""

    path: Path
    writable: bool
    free_bytes: int


def judge_place(place: Place) -> Finding:
    """The home's folder."""
    found = f"{place.path}: {place.free_bytes / 1e9:.1f} GB free"
    if not place.writable:
        mend = f"chown it to you, or choose another with MLOPS_HOME: {place.path}"
        return Finding("home", "broken", f"{place.path} cannot be written", mend)
    if place.free_bytes >= _FREE_BYTES:
        return Finding("home", "fine", found)
    verdict = "warning" if place.free_bytes >= _FREE_BYTES_AT_LEAST else "broken"
    mend = "free disk space, or set serving.prediction_log.retention in the models' documents"
    return Finding("home", verdict, found, mend)  # type: ignore[arg-type]


def judge_memory(available_bytes: int) -> Finding:
    """Memory that processes may still take."""
    found = f"{available_bytes / 1e9:.1f} GB available"
    if available_bytes >= _MEMORY_BYTES:
        return Finding("memory", "fine", found)
    mend = "end other programs: a training takes 1 GB, Dagster and MLflow 0.5 GB each"
    return Finding("memory", "warning", found, mend)


@dataclass(frozen=True, slots=True)
class Keys:
    """The key pair of a home. `signs` is the id of its signing key; None when there is no file."""

    signs: str | None
    trusted: frozenset[str]
    open_to_others: bool


def judge_keys(keys: Keys | Unanswered) -> Finding:
    """Whether models of this home can be signed, and are then taken."""
    if isinstance(keys, Unanswered):
        mend = "restore the folder keys/ from a backup, or `mlops-assets keys rotate`"
        return Finding("keys", "broken", keys.reason, mend)
    if keys.signs is None:
        return Finding("keys", "fine", "none yet; the first start makes a pair")
    if keys.signs not in keys.trusted:
        mend = "`mlops-assets keys rotate`, then `mlops-assets keys sign` what is served"
        found = f"key {keys.signs} signs, and the gateway does not trust it"
        return Finding("keys", "broken", found, mend)
    if keys.open_to_others:
        mend = "chmod 600 keys/signing.pem; if others use this machine, `mlops-assets keys rotate`"
        return Finding("keys", "warning", "others can read the signing key", mend)
    return Finding("keys", "fine", f"key {keys.signs} signs")


def judge_ports(busy: Mapping[int, str], ours: bool) -> Finding:
    """The ports of the pages; `busy` says who has one, `ours` whether the platform runs."""
    if ours:
        return Finding("ports", "fine", "the platform has them")
    if not busy:
        return Finding("ports", "fine", "free")
    found = "; ".join(busy.values())
    mend = "stop that, or choose others: --dagster-port, --mlflow-port, --gateway-port"
    return Finding("ports", "broken", found, mend)


def judge_database(name: str, answer: str | Unanswered | None) -> Finding:
    """A SQLite file; the answer is SQLite's own, `ok` when it is whole. None: there is no file."""
    if answer is None:
        return Finding(name, "fine", "not made yet")
    if answer == "ok":
        return Finding(name, "fine", "whole")
    if isinstance(answer, Unanswered):
        mend = "ask again; does the file belong to you, does another program write to it?"
        return Finding(name, "unknown", answer.reason, mend)
    mend = "stop the platform and restore the file from a backup (docs/operations.md)"
    return Finding(name, "broken", answer, mend)


def judge_documents(problems: Sequence[str]) -> Finding:
    """The model documents."""
    if not problems:
        return Finding("documents", "fine", "no problem")
    more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
    return Finding("documents", "broken", problems[0] + more, "`mlops-assets check` lists them all")


def judge_clock(newest: datetime | None, now: datetime) -> Finding:
    """The clock, by the newest file of the home: none can be from the future."""
    if newest is None or newest <= now + _CLOCK:
        return Finding("clock", "fine", now.isoformat(timespec="seconds"))
    seconds = (newest - now).total_seconds()
    found = f"a file of the home is {seconds:.0f} s in the future: the clock went back"
    mend = "set the clock (timedatectl set-ntp true); windows and schedules go by it"
    return Finding("clock", "broken", found, mend)


def judge_services(silent: Mapping[str, str]) -> Finding:
    """The models of a running platform that do not answer, with the reason."""
    if not silent:
        return Finding("services", "fine", "every declared model answers")
    found = "; ".join(f"{model}: {reason}" for model, reason in silent.items())
    mend = "MLOPS_HOME/serving/logs/<service> has the predictor's words; `mlops-assets status`"
    return Finding("services", "broken", found, mend)
