"""Who may have a predictor load a model, and how keys are made, replaced and refused."""

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_assets.errors import SigningKeyError, UnsafeModelError
from mlops_assets.modeling.manifest import MANIFEST_FILE
from mlops_assets.modeling.signing import (
    SIGNATURE_FILE,
    SIGNING_KEY,
    TRUSTED,
    distrust,
    ensure_key_pair,
    keys_of_signer,
    read_signed_manifest,
    read_trusted_keys,
    rotate_key,
    sign_package,
    signing_key_id,
)
from mlops_assets_tests.serving.packages import write_binary_model


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    assert ensure_key_pair(tmp_path / "keys")
    return tmp_path / "keys"


@pytest.fixture
def package(tmp_path: Path, keys: Path) -> Path:
    directory = write_binary_model(tmp_path / "model")
    sign_package(directory, keys / SIGNING_KEY)
    return directory


def load(package: Path, keys: Path) -> str:
    return read_signed_manifest(package, read_trusted_keys(keys / TRUSTED)).model


def test_a_signed_package_is_taken(package: Path, keys: Path) -> None:
    assert load(package, keys) == "toy"


def test_a_package_without_signature_is_refused(package: Path, keys: Path) -> None:
    (package / SIGNATURE_FILE).unlink()
    with pytest.raises(UnsafeModelError, match=r"is not signed: it has no mlops_manifest\.sig"):
        load(package, keys)


def test_a_package_without_manifest_is_refused(package: Path, keys: Path) -> None:
    (package / MANIFEST_FILE).unlink()
    with pytest.raises(UnsafeModelError, match=r"has no mlops_manifest\.json"):
        load(package, keys)


def test_a_key_that_is_not_trusted_is_named_beside_those_that_are(
    package: Path, keys: Path, tmp_path: Path
) -> None:
    ensure_key_pair(tmp_path / "other")
    theirs = sign_package(package, tmp_path / "other" / SIGNING_KEY)
    ours = signing_key_id(keys / SIGNING_KEY)
    with pytest.raises(UnsafeModelError, match=f"key {theirs}, which is not trusted.*{ours}"):
        load(package, keys)


def test_a_forged_signature_under_a_trusted_keys_id_is_refused(
    package: Path, keys: Path, tmp_path: Path
) -> None:
    ensure_key_pair(tmp_path / "other")
    sign_package(package, tmp_path / "other" / SIGNING_KEY)
    forged = json.loads((package / SIGNATURE_FILE).read_text())
    forged["key"] = signing_key_id(keys / SIGNING_KEY)
    (package / SIGNATURE_FILE).write_text(json.dumps(forged))
    with pytest.raises(UnsafeModelError, match=r"is no signature of .*forged"):
        load(package, keys)


def test_a_manifest_changed_by_one_byte_is_refused(package: Path, keys: Path) -> None:
    path = package / MANIFEST_FILE
    path.write_text(path.read_text().replace('"toy"', '"tox"', 1))
    with pytest.raises(UnsafeModelError, match="or one of the two was changed since"):
        load(package, keys)


def test_the_signature_of_another_model_is_refused(
    package: Path, keys: Path, tmp_path: Path
) -> None:
    other = write_binary_model(tmp_path / "other", sign=-1.0, digest="b" * 64)
    sign_package(other, keys / SIGNING_KEY)
    shutil.copy(other / SIGNATURE_FILE, package / SIGNATURE_FILE)
    with pytest.raises(UnsafeModelError, match="made for another model"):
        load(package, keys)


def test_a_signed_manifest_of_another_model_does_not_fit_these_files(
    package: Path, keys: Path, tmp_path: Path
) -> None:
    other = write_binary_model(tmp_path / "other", sign=-1.0, digest="b" * 64)
    sign_package(other, keys / SIGNING_KEY)
    for name in (MANIFEST_FILE, SIGNATURE_FILE):
        shutil.copy(other / name, package / name)
    with pytest.raises(UnsafeModelError, match=r"model\.onnx: found .*, the manifest says"):
        load(package, keys)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="empty"),
        pytest.param('{"key": "x"}', id="half"),
        pytest.param('{"format": 2, "key": "x", "signature": ""}', id="of_another_format"),
        pytest.param('{"key": "x", "signature": "no base64!"}', id="no_base64"),
    ],
)
def test_a_signature_that_is_none_is_refused(package: Path, keys: Path, content: str) -> None:
    (package / SIGNATURE_FILE).write_text(content)
    with pytest.raises(UnsafeModelError, match="is no signature that this version reads"):
        load(package, keys)


def test_what_was_signed_for_another_purpose_is_no_signature(package: Path, keys: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    private = serialization.load_pem_private_key((keys / SIGNING_KEY).read_bytes(), None)
    bare = private.sign((package / MANIFEST_FILE).read_bytes())  # type: ignore[union-attr, call-arg]
    signature = json.loads((package / SIGNATURE_FILE).read_text())
    signature["signature"] = base64.b64encode(bare).decode()
    (package / SIGNATURE_FILE).write_text(json.dumps(signature))
    with pytest.raises(UnsafeModelError, match="is no signature of"):
        load(package, keys)


def test_a_package_whose_files_changed_is_not_signed(package: Path, keys: Path) -> None:
    (package / "model.onnx").write_bytes(b"another")
    with pytest.raises(UnsafeModelError, match="the manifest says"):
        sign_package(package, keys / SIGNING_KEY)


def test_after_a_rotation_both_keys_count_until_the_former_is_distrusted(
    package: Path, keys: Path, tmp_path: Path
) -> None:
    former = signing_key_id(keys / SIGNING_KEY)
    new = rotate_key(keys)
    assert signing_key_id(keys / SIGNING_KEY) == new != former
    fresh = write_binary_model(tmp_path / "fresh")
    sign_package(fresh, keys / SIGNING_KEY)
    assert load(package, keys) == load(fresh, keys) == "toy"

    with pytest.raises(SigningKeyError, match=f"key {new} signs"):
        distrust(keys, new)
    distrust(keys, former)
    assert load(fresh, keys) == "toy"
    with pytest.raises(UnsafeModelError, match=f"key {former}, which is not trusted"):
        load(package, keys)
    with pytest.raises(SigningKeyError, match=f"holds no key {former}"):
        distrust(keys, former)
    sign_package(package, keys / SIGNING_KEY)
    assert load(package, keys) == "toy"


def test_one_file_may_hold_several_public_keys(package: Path, keys: Path, tmp_path: Path) -> None:
    rotate_key(keys)
    both = tmp_path / "both.pem"
    both.write_bytes(b"".join(path.read_bytes() for path in sorted((keys / TRUSTED).iterdir())))
    assert len(read_trusted_keys(both).keys) == 2
    assert read_signed_manifest(package, read_trusted_keys(both)).model == "toy"


def test_a_key_pair_is_made_once_and_only_its_owner_reads_the_private_key(keys: Path) -> None:
    before = (keys / SIGNING_KEY).read_bytes()
    assert not ensure_key_pair(keys)
    assert (keys / SIGNING_KEY).read_bytes() == before
    assert (keys / SIGNING_KEY).stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in keys.iterdir()) == [SIGNING_KEY, TRUSTED]


def test_a_key_whose_public_half_a_kill_left_out_is_trusted_by_the_next_call(
    package: Path, keys: Path
) -> None:
    before = signing_key_id(keys / SIGNING_KEY)
    shutil.rmtree(keys / TRUSTED)
    assert not ensure_key_pair(keys)
    assert signing_key_id(keys / SIGNING_KEY) == before
    assert load(package, keys) == "toy"


def test_processes_that_make_a_key_pair_at_once_agree(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from mlops_assets.modeling.signing import ensure_key_pair, signing_key_id, SIGNING_KEY\n"
        "ensure_key_pair(Path(sys.argv[1]))\n"
        "print(signing_key_id(Path(sys.argv[1], SIGNING_KEY)))\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "keys")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    ids = {process.communicate()[0].strip() for process in started}
    assert ids == set(read_trusted_keys(tmp_path / "keys" / TRUSTED).keys)
    assert len(ids) == 1


def test_keys_that_are_none_are_refused_with_what_was_found(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

    (tmp_path / "empty").mkdir()
    with pytest.raises(SigningKeyError, match="holds no public key"):
        read_trusted_keys(tmp_path / "empty")
    with pytest.raises(SigningKeyError, match="no such signing key; `mlops-assets keys new`"):
        signing_key_id(tmp_path / "missing.pem")
    (tmp_path / "text.pem").write_text("hello")
    with pytest.raises(SigningKeyError, match="cannot be read as public keys"):
        read_trusted_keys(tmp_path / "text.pem")
    curve = generate_private_key(SECP256R1())
    pem, info = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    (tmp_path / "curve.pem").write_bytes(curve.public_key().public_bytes(pem, info))
    with pytest.raises(SigningKeyError, match="needed: Ed25519"):
        read_trusted_keys(tmp_path / "curve.pem")


def test_the_module_loads_without_cryptography() -> None:
    code = "import sys, mlops_assets.modeling.signing\nprint('cryptography' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_whoever_signs_trusts_its_own_key_and_those_of_a_folder(keys: Path, tmp_path: Path) -> None:
    former = signing_key_id(keys / SIGNING_KEY)
    new = rotate_key(keys)
    assert set(keys_of_signer(keys / SIGNING_KEY, None).keys) == {new}
    assert set(keys_of_signer(keys / SIGNING_KEY, tmp_path / "none").keys) == {new}
    assert set(keys_of_signer(keys / SIGNING_KEY, keys / TRUSTED).keys) == {former, new}
    distrust(keys, former)
    assert set(keys_of_signer(keys / SIGNING_KEY, keys / TRUSTED).keys) == {new}
