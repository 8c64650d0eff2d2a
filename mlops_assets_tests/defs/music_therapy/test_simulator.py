import doctest
from datetime import datetime

import polars as pl
import pytest

from mlops_assets.defs.music_therapy import simulator
from mlops_assets.defs.music_therapy.layout import COLUMNS
from mlops_assets.defs.music_therapy.simulator import simulate_sessions


@pytest.fixture(scope="module")
def sessions() -> pl.DataFrame:
    return simulate_sessions(4_000, seed=0)


def test_sessions_have_the_33_columns_of_the_survey_in_order(sessions: pl.DataFrame) -> None:
    assert tuple(sessions.columns) == COLUMNS
    assert len(COLUMNS) == 33


def test_the_same_seed_gives_the_same_sessions_and_another_gives_others() -> None:
    assert simulate_sessions(50, seed=3).equals(simulate_sessions(50, seed=3))
    assert not simulate_sessions(50, seed=3).equals(simulate_sessions(50, seed=4))


def test_effects_of_music_have_the_shares_of_the_survey(sessions: pl.DataFrame) -> None:
    """Survey: 542, 169 and 17 of 728 with an answer, and 8 of 736 without."""
    effects = sessions["Music effects"]
    shares = {
        effect: (effects.drop_nulls() == effect).mean()
        for effect in ("Improve", "No effect", "Worsen")
    }
    expected = {"Improve": 542 / 728, "No effect": 169 / 728, "Worsen": 17 / 728}
    assert shares == pytest.approx(expected, abs=0.02)
    assert effects.null_count() / 4_000 == pytest.approx(8 / 736, abs=0.005)


def test_sessions_have_the_quirks_of_the_survey(sessions: pl.DataFrame) -> None:
    beats = sessions["BPM"]
    assert beats.max() == 999_999_999
    assert beats.null_count() / 4_000 == pytest.approx(107 / 736, abs=0.02)
    impossible = sessions.filter((pl.col("BPM") <= 20) | (pl.col("BPM") >= 250)).height
    assert impossible / 4_000 == pytest.approx(8 / 736, abs=0.005)
    assert sessions["Hours per day"].max() == 24
    assert sessions["Permissions"].unique().to_list() == ["I understand."]
    halves = sessions.filter(pl.col("Anxiety") % 1 == 0.5)
    assert 0 < halves.height < 40
    for score in ("Anxiety", "Depression", "Insomnia", "OCD"):
        assert sessions[score].is_between(0, 10).all()


def test_timestamps_are_written_without_leading_zeros_and_in_order(sessions: pl.DataFrame) -> None:
    texts = sessions["Timestamp"].to_list()
    moments = [datetime.strptime(text, "%m/%d/%Y %H:%M:%S") for text in texts]  # noqa: DTZ007
    assert moments == sorted(moments)
    assert not any(text.startswith("0") for text in texts)
    assert moments[-1] < datetime(2022, 11, 9, 19, 29, 2)  # noqa: DTZ001


def test_examples_run() -> None:
    assert doctest.testmod(simulator).failed == 0
