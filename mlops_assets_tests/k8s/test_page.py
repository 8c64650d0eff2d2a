"""docs/kubernetes.md tells what the manifests say, and where two overlays differ."""

from mlops_assets_tests.k8s.page import PAGE, filled
from mlops_assets_tests.k8s.rendering import FOLDER


def test_the_tables_of_the_page_are_current() -> None:
    text = PAGE.read_text()
    assert text == filled(text), "run: python -m mlops_assets_tests.k8s.page"


def test_the_page_names_every_component_and_overlay() -> None:
    text = PAGE.read_text()
    for folder in (*(FOLDER / "components").iterdir(), *(FOLDER / "overlays").iterdir()):
        assert f"`{folder.name}`" in text, folder.name
