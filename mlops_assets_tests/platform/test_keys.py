import json
from pathlib import Path

from mlops_assets.modeling.manifest import MANIFEST_FILE
from mlops_assets.modeling.signing import (
    SIGNATURE_FILE,
    SIGNING_KEY,
    TRUSTED,
    read_signed_manifest,
    read_trusted_keys,
    signing_key_id,
)
from mlops_assets.platform.home import Home
from mlops_assets.platform.keys import prepare_keys
from mlops_assets_tests.serving.packages import write_binary_model


def unsigned_package(home: Home, name: str) -> Path:
    package = write_binary_model(home.mlflow_artifacts / name / "models" / "m-1" / "artifacts")
    (package / SIGNATURE_FILE).unlink()
    return package


def test_a_home_from_before_signatures_has_its_models_signed_once(tmp_path: Path) -> None:
    home = Home(tmp_path)
    package, broken = unsigned_package(home, "toy"), unsigned_package(home, "broken")
    manifest = json.loads((broken / MANIFEST_FILE).read_text())
    (broken / MANIFEST_FILE).write_text(json.dumps(manifest | {"files": {"gone": "0"}}))

    told = list(prepare_keys(home))
    assert [line.split(":")[0] for line in told] == [
        "not signed",
        f"made the key pair {home.keys}, and signed the 1 models of this home",
    ]
    trusted = read_trusted_keys(home.keys / TRUSTED)
    assert read_signed_manifest(package, trusted).model == "toy"

    later = unsigned_package(home, "later")  # put there by somebody who has no key
    assert list(prepare_keys(home)) == []
    assert not (later / SIGNATURE_FILE).exists()


def test_killed_before_the_key_was_in_place_the_next_start_signs(tmp_path: Path) -> None:
    home = Home(tmp_path)
    package = unsigned_package(home, "toy")
    for _ in prepare_keys(home):
        pass
    home.keys.rename(home.root / ".keys.aside")  # as a kill just before the rename leaves it
    (package / SIGNATURE_FILE).unlink()

    list(prepare_keys(home))
    trusted = read_trusted_keys(home.keys / TRUSTED)
    assert set(trusted.keys) == {signing_key_id(home.keys / SIGNING_KEY)}
    assert read_signed_manifest(package, trusted).model == "toy"


def test_a_lost_signing_key_is_replaced_and_the_former_stays_trusted(tmp_path: Path) -> None:
    home = Home(tmp_path)
    package = unsigned_package(home, "toy")
    list(prepare_keys(home))
    (home.keys / SIGNING_KEY).unlink()

    (told,) = prepare_keys(home)
    assert told.startswith(f"{home.keys / SIGNING_KEY} was gone")
    trusted = read_trusted_keys(home.keys / TRUSTED)
    assert len(trusted.keys) == 2
    assert read_signed_manifest(package, trusted).model == "toy"
    assert list(prepare_keys(home)) == []
