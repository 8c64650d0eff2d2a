"""The folder that everything lies in."""

from pathlib import Path

import pytest

from mlops_assets.errors import PlatformError
from mlops_assets.platform.home import Home, home_at, prepare_home, project_folder

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("option", "environment", "root"),
    [
        pytest.param(None, {}, "/p/.mlops", id="in_the_project"),
        pytest.param(None, {"MLOPS_HOME": "/e"}, "/e", id="the_variable"),
        pytest.param(None, {"MLOPS_HOME": ""}, "/p/.mlops", id="an_empty_variable_is_none"),
        pytest.param(Path("/o"), {"MLOPS_HOME": "/e"}, "/o", id="the_option_outranks_it"),
    ],
)
def test_home_table(option: Path | None, environment: dict[str, str], root: str) -> None:
    assert home_at(option, environment, Path("/p")) == Home(Path(root))


def test_a_relative_home_is_taken_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert home_at(Path("h"), {}, Path("/p")).root == tmp_path / "h"


def test_preparing_twice_changes_nothing(home: Path) -> None:
    prepare_home(Home(home))
    prepare_home(Home(home))
    assert sorted(p.name for p in home.iterdir()) == ["logs", "mlartifacts"]


def test_a_file_in_its_place_is_named(home: Path) -> None:
    home.write_text("")
    with pytest.raises(PlatformError, match=rf"{home} cannot be the platform's folder.*--home"):
        prepare_home(Home(home))


def test_the_project_is_this_checkout_unless_named(tmp_path: Path) -> None:
    assert project_folder({}) == ROOT
    with pytest.raises(PlatformError, match=rf"{tmp_path} has no dagster.yaml; .*MLOPS_PROJECT"):
        project_folder({"MLOPS_PROJECT": str(tmp_path)})
