"""Packages by path and by URI."""

from pathlib import Path

import pytest

from mlops_assets.modeling.signing import SIGNATURE_FILE
from mlops_assets.modeling.stored_package import fetched, local_path, sign_stored
from mlops_assets_tests.serving.keys import signing_key
from mlops_assets_tests.serving.packages import write_binary_model


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        pytest.param("/models/a", "/models/a", id="a_path"),
        pytest.param("models/50% #2", "models/50% #2", id="a_path_is_taken_as_it_is"),
        pytest.param("file:///models/50%25%20a", "/models/50% a", id="a_uri_is_decoded"),
        pytest.param("s3://models/a", None, id="object_storage"),
        pytest.param("mlflow-artifacts:/1/a", None, id="what_a_server_keeps"),
    ],
)
def test_places_of_this_machine_are_known(uri: str, place: str | None) -> None:
    assert local_path(uri) == (None if place is None else Path(place))


def test_a_package_is_signed_where_it_lies_whatever_its_folder_is_called(tmp_path: Path) -> None:
    package = write_binary_model(tmp_path / "50%25 #2")
    for uri in (str(package), package.as_uri()):
        sign_stored(uri, signing_key())
        assert (package / SIGNATURE_FILE).is_file()
        (package / SIGNATURE_FILE).unlink()
        with fetched(uri) as directory:
            assert directory == package
