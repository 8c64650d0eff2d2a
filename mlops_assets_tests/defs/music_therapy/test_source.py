import hashlib
from pathlib import Path

import pytest

from mlops_assets.defs.music_therapy import layout, simulator
from mlops_assets.defs.music_therapy.layout import COLUMNS
from mlops_assets.defs.music_therapy.simulator import simulate_sessions
from mlops_assets.defs.music_therapy.source import fingerprint, load_sessions
from mlops_assets.errors import SourceError


@pytest.fixture
def survey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in the survey's layout, named by the environment variable."""
    path = tmp_path / "survey.csv"
    simulate_sessions(100, seed=5).write_csv(path)
    monkeypatch.setenv("MUSIC_THERAPY_DATA", str(path))
    return path


def test_sessions_are_simulated_when_no_survey_is_named_and_say_so() -> None:
    rows = load_sessions(simulated_rows=50, seed=1)
    assert rows.facts == {"simulated": "yes, seed 1, 50 rows"}
    assert rows.frame.collect().equals(simulate_sessions(50, seed=1))


def test_a_named_survey_is_read_and_not_called_simulated(survey: Path) -> None:
    rows = load_sessions(simulated_rows=50, seed=1)
    assert rows.facts["simulated"] == "no"
    frame = rows.frame.collect()
    assert tuple(frame.columns) == COLUMNS
    assert frame.height == 100


def test_a_survey_that_lacks_columns_is_refused_by_their_names(survey: Path) -> None:
    simulate_sessions(10, seed=0).drop("BPM", "OCD").write_csv(survey)
    with pytest.raises(SourceError, match="lacks columns of the survey: BPM, OCD"):
        load_sessions(simulated_rows=50, seed=1)


def test_a_named_survey_that_is_not_there_is_refused(survey: Path) -> None:
    survey.unlink()
    with pytest.raises(SourceError, match=r"survey\.csv"):
        load_sessions(simulated_rows=50, seed=1)


def test_fingerprint_follows_the_survey_and_the_arguments(
    survey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fingerprint(simulated_rows=50, seed=1)
    assert real == fingerprint(simulated_rows=99, seed=2)  # nothing is simulated
    survey.write_text(survey.read_text() + "\n")
    assert real != fingerprint(simulated_rows=50, seed=1)
    monkeypatch.delenv("MUSIC_THERAPY_DATA")
    simulated = fingerprint(simulated_rows=50, seed=1)
    assert simulated != real
    assert simulated != fingerprint(simulated_rows=50, seed=2)


def test_fingerprint_follows_the_code_that_sessions_are_made_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The words of answers stand in a module of their own, which it did not see."""
    monkeypatch.delenv("MUSIC_THERAPY_DATA", raising=False)
    code = b"".join(Path(str(module.__file__)).read_bytes() for module in (layout, simulator))
    assert hashlib.sha256(code).hexdigest() in fingerprint(simulated_rows=50, seed=1)
