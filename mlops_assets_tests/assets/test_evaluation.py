"""Whether the champion can be loaded, and what becomes of a candidate when it cannot."""

import contextlib
import shutil
from pathlib import Path

import pytest

from mlops_assets.assets import evaluation
from mlops_assets.modeling.contestants import Contestant, Unreadable
from mlops_assets.modeling.evaluation import evaluate
from mlops_assets.modeling.gates import judge
from mlops_assets.modeling.mlflow_registry import RegisteredVersion
from mlops_assets.modeling.signing import (
    SIGNATURE_FILE,
    SIGNING_KEY,
    TRUSTED,
    ensure_key_pair,
    keys_of_signer,
    rotate_key,
    sign_package,
)
from mlops_assets.modeling.tracking import Tracking
from mlops_assets_tests.modeling.conftest import PackagedModel, package
from mlops_assets_tests.modeling.toy import LATER, document, tree_document
from mlops_assets_tests.object_storage import BUCKET, running_object_storage


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> PackagedModel:
    return package(tree_document(), tmp_path_factory.mktemp("toy") / "model")


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    ensure_key_pair(tmp_path / "keys")
    return tmp_path / "keys"


@pytest.fixture
def stored(model: PackagedModel, keys: Path, tmp_path: Path) -> Path:
    """The champion's package in the model store."""
    directory = shutil.copytree(model.directory, tmp_path / "stored")
    sign_package(directory, keys / SIGNING_KEY)
    return Path(directory)


def load(
    model: PackagedModel, stored: Path, keys: Path, tags: dict[str, str] | None = None
) -> Contestant | Unreadable:
    split = {evaluation.SPLIT_TAG: model.built.facts.split.model_dump_json()}
    champion = RegisteredVersion(
        name="toy",
        version=3,
        model_digest=model.manifest.model_digest,
        uri="s3://models/toy/3",
        mlflow_run_id="",
        tags=split if tags is None else tags,
    )
    trusted = keys_of_signer(keys / SIGNING_KEY, keys / TRUSTED)
    place = contextlib.nullcontext(stored)
    with contextlib.ExitStack() as packages:
        return evaluation._load_champion(packages, place, champion, model.spec, trusted)


def unsigned(stored: Path) -> None:
    (stored / SIGNATURE_FILE).unlink()


def signed_by_another(stored: Path) -> None:
    other = stored.parent / "other"
    ensure_key_pair(other)
    sign_package(stored, other / SIGNING_KEY)


def changed(stored: Path) -> None:
    manifest = stored / "mlops_manifest.json"
    manifest.write_text(manifest.read_text() + "\n")


def lost(stored: Path) -> None:
    shutil.rmtree(stored)


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        pytest.param(unsigned, "s3://models/toy/3 is not signed", id="unsigned"),
        pytest.param(signed_by_another, "which is not trusted here", id="signed_by_another"),
        pytest.param(changed, "it was forged, made for another model", id="changed"),
        pytest.param(lost, "s3://models/toy/3 has no mlops_manifest.json", id="lost"),
    ],
)
def test_a_champion_that_no_trusted_key_vouches_for_is_not_judged(
    model: PackagedModel, stored: Path, keys: Path, harm: object, told: str
) -> None:
    """Its manifest alone was verified, which whoever writes to the store can write too."""
    assert callable(harm)
    harm(stored)
    champion = load(model, stored, keys)
    found = evaluate(model.spec, model.built, model.as_contestant(), champion, LATER)
    assert (found.champion, found.champion_version) == ("not_judged", "3")
    assert found.champion_reason.startswith("champion v3 cannot be loaded: ")
    assert told in found.champion_reason
    (gate,) = [g for g in judge(found, model.spec.gates) if not g.passed]
    assert gate.name == "not_worse_than_champion"
    assert gate.reason == f"unknown: {found.champion_reason}"
    without = model.spec.gates.model_copy(update={"not_worse_than_champion": None})
    assert all(gate.passed for gate in judge(found, without))


def test_a_champion_of_a_former_key_is_judged(
    model: PackagedModel, stored: Path, keys: Path
) -> None:
    rotate_key(keys)
    champion = load(model, stored, keys)
    found = evaluate(model.spec, model.built, model.as_contestant(), champion, LATER)
    assert (found.champion, found.champion_version) == ("judged", "3")


def test_a_champion_of_a_type_that_the_document_trusts_no_more_is_not_judged(
    model: PackagedModel, keys: Path, tmp_path: Path
) -> None:
    """Taking one's own class out of the document ended every later evaluation."""
    own = "mlops_assets_tests.modeling.own_estimator.OwnClassifier"
    champion = package(
        document(model={"estimator": own, "trusted_types": [own]}), tmp_path / "champion"
    )
    sign_package(champion.directory, keys / SIGNING_KEY)
    assert isinstance(load(champion, champion.directory, keys), Contestant)
    found = evaluate(
        model.spec,
        model.built,
        model.as_contestant(),
        load(model, champion.directory, keys),
        LATER,
    )
    assert found.champion == "not_judged"
    assert f"would construct {own}" in found.champion_reason
    assert "model.trusted_types" in found.champion_reason
    (refused,) = [gate.reason for gate in judge(found, model.spec.gates) if not gate.passed]
    assert refused == f"unknown: {found.champion_reason}"


def test_a_champion_that_was_deleted_from_object_storage_is_not_judged(
    model: PackagedModel, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's error ended every later evaluation."""
    champion = RegisteredVersion(
        name="toy", version=3, model_digest="", uri=f"s3://{BUCKET}/3", mlflow_run_id="", tags={}
    )
    trusted = keys_of_signer(keys / SIGNING_KEY, None)
    with running_object_storage() as storage, contextlib.ExitStack() as packages:
        environment = storage.environment | {"MLFLOW_S3_ENDPOINT_URL": storage.url}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        place = Tracking(f"sqlite:///{tmp_path}/none.db").package(champion.uri)
        found = evaluation._load_champion(packages, place, champion, model.spec, trusted)
    assert found == Unreadable("3", f"s3://{BUCKET}/3 holds no package; it was deleted")


@pytest.mark.parametrize("tags", [{}, {"mlops.split": "by hand"}], ids=["none", "of_another"])
def test_a_champion_that_somebody_registered_by_hand_is_not_judged(
    model: PackagedModel, stored: Path, keys: Path, tags: dict[str, str]
) -> None:
    """The step failed with a KeyError."""
    champion = load(model, stored, keys, tags=tags)
    assert isinstance(champion, Unreadable)
    assert champion.reason.startswith("toy v3 is champion, and its tag mlops.split does not say")
