"""Sessions of listeners: the survey that `MUSIC_THERAPY_DATA` names, or simulated ones without it.

Here: `load_sessions`, the source of the document beside this file. Not here: how sessions are
simulated (`simulator.py`) and what is impossible in them (the document's contract).
"""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

from mlops_assets.data.sources import SourceRows, open_source, source_fingerprint
from mlops_assets.defs.music_therapy.layout import COLUMNS
from mlops_assets.defs.music_therapy.simulator import simulate_sessions
from mlops_assets.errors import SourceError
from mlops_assets.spec import SourceSpec

DATA_VARIABLE = "MUSIC_THERAPY_DATA"
"""Environment variable: a CSV in the layout of the Music & Mental Health survey."""


def load_sessions(*, simulated_rows: int, seed: int) -> SourceRows:
    """Sessions in the survey's layout, oldest first; the facts say whether they are simulated.

    Args:
        simulated_rows: Number of sessions to simulate when no survey is named.
        seed: Seed of the simulation.

    Raises:
        SourceError: the file is missing, unreadable, or lacks columns of the survey.
    """
    survey = _survey()
    if survey is None:
        frame = simulate_sessions(simulated_rows, seed=seed).lazy()
        facts = {"simulated": f"yes, seed {seed}, {simulated_rows} rows"}
        return SourceRows(frame, facts, sliceable=True)
    rows = open_source(survey, base=Path.cwd())
    found = rows.frame.collect_schema().names()
    if missing := [column for column in COLUMNS if column not in found]:
        raise SourceError(
            f"{survey.path} ({DATA_VARIABLE}) lacks columns of the survey: {', '.join(missing)}; "
            f"found: {', '.join(found[:8])}{', …' if len(found) > 8 else ''}"
        )
    return replace(rows, facts={**rows.facts, "simulated": "no"})


def fingerprint(*, simulated_rows: int, seed: int) -> str:
    """A text that changes when the survey's file, or what is simulated, does."""
    survey = _survey()
    if survey is not None:
        return f"survey {source_fingerprint(survey, base=Path.cwd())}"
    code = hashlib.sha256()
    for module in ("layout.py", "simulator.py"):
        code.update(Path(__file__).with_name(module).read_bytes())
    return f"simulated {simulated_rows} rows, seed {seed}, code {code.hexdigest()}"


load_sessions.fingerprint = fingerprint  # type: ignore[attr-defined]  # asked by the data layer


def _survey() -> SourceSpec | None:
    path = os.environ.get(DATA_VARIABLE)
    return SourceSpec(path=path, format="csv") if path else None
