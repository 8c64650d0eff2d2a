"""The image of everything else: what the manifests start in it, it has."""

from collections.abc import Iterator, Sequence

import pytest

from mlops_assets_tests.k8s.image_environment import ImageEnvironment, make_environment
from mlops_assets_tests.k8s.rendering import OVERLAYS, pods_of, render


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> ImageEnvironment:
    return make_environment("platform", tmp_path_factory.mktemp("platform"))


def started() -> Iterator[tuple[str, Sequence[str]]]:
    """Image and arguments of every container of ours."""
    for overlay in OVERLAYS:
        for pod in pods_of(render(overlay)):
            for container in pod.containers:
                image = container["image"].rsplit("/", 1)[-1].partition(":")[0]
                if image in ("platform", "predictor"):
                    yield image, container["args"]


def test_it_has_every_command_that_the_manifests_start(environment: ImageEnvironment) -> None:
    commands = {arguments[0] for image, arguments in started() if image == "platform"}
    assert commands >= {"dagster-webserver", "dagster", "mlflow", "python"}
    for command in commands | {"mlops-assets"}:
        assert (environment.folder / "bin" / command).is_file(), command


def test_it_has_every_module_that_the_manifests_start(environment: ImageEnvironment) -> None:
    modules = {a[2] for image, a in started() if image == "platform" and a[0] == "python"}
    modules |= {arguments[0] for image, arguments in started() if image == "predictor"}
    assert len(modules) >= 4
    asked = f"import importlib.util as u; print([m for m in {modules!r} if not u.find_spec(m)])"
    done = environment.run(str(environment.python), "-c", asked)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_code_location_loads_in_it_without_the_tools_of_tests(
    environment: ImageEnvironment,
) -> None:
    asked = (
        "import importlib.util as u; from mlops_assets.definitions import defs; "
        "jobs = {j.name for j in defs().get_repository_def().get_all_jobs()}; "
        "has = [u.find_spec(name) is not None for name in ('pytest', 'boto3')]; "
        "print('flight_delay_pipeline' in jobs, *has)"
    )
    done = environment.run(str(environment.python), "-c", asked)
    assert done.stdout.split() == ["True", "False", "True"], done.stderr


def test_its_command_line_answers(environment: ImageEnvironment) -> None:
    done = environment.run(str(environment.folder / "bin" / "mlops-assets"), "--help")
    assert done.returncode == 0, done.stderr
    assert "doctor" in done.stdout
