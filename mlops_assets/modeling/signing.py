"""Signatures of model manifests: who may have a predictor load a model.

A manifest names the SHA-256 of every file of its package, so a signature of the manifest is one of
the whole package. It stands beside it in `mlops_manifest.sig`. The signing key (Ed25519) stays with
whoever packages models, never in the model store; predictors get public keys, several while one is
replaced by the next. Whoever can write to the model store can then break a model, not forge one.

A folder of keys:

| path | what | who needs it |
|---|---|---|
| `signing.pem` | the private key, readable by its owner alone | whoever packages models |
| `trusted/<key id>.pem` | public keys | predictors |

Here: keys, signing, verifying. Not here: what a manifest holds (`manifest.py`). Light, and
`cryptography` is imported when a key is used: 16 MB.
"""

import base64
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from mlops_assets.errors import SigningKeyError, UnsafeModelError
from mlops_assets.modeling.manifest import (
    MANIFEST_FILE,
    ModelManifest,
    read_manifest_bytes,
    verify_files,
)
from mlops_assets.whole_files import replace_file, write_aside

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

SIGNATURE_FILE = "mlops_manifest.sig"
SIGNING_KEY, TRUSTED = "signing.pem", "trusted"

# What is signed begins with this, so that no signature made for another purpose fits a manifest.
_PURPOSE = b"mlops-assets model manifest 1\n"
_PEM_END = b"-----END PUBLIC KEY-----"


class Signature(BaseModel):
    """The content of `mlops_manifest.sig`.

    Attributes:
        key: Id of the key that made it.
        signature: Ed25519 over the purpose and the manifest's bytes, in base64.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    key: str
    signature: str


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """The public keys whose signatures count.

    Attributes:
        place: File or folder that they were read from.
        keys: 32 bytes each, by id.
    """

    place: Path
    keys: Mapping[str, bytes]

    def require(self, directory: Path, content: bytes) -> None:
        """Refuse a manifest that none of these keys signed.

        Args:
            directory: The package; its signature is read from there.
            content: The bytes of its manifest as they will be used.

        Raises:
            UnsafeModelError: no signature, one by another key, or one of other bytes.
        """
        path = directory / SIGNATURE_FILE
        try:
            found = Signature.model_validate_json(path.read_bytes())
            signature = base64.b64decode(found.signature, validate=True)
        except FileNotFoundError as error:
            raise UnsafeModelError(
                f"{directory} is not signed: it has no {SIGNATURE_FILE}; register the model again, "
                f"or sign it with `mlops-assets keys sign {directory}`"
            ) from error
        except (OSError, ValueError) as error:
            raise UnsafeModelError(f"{path} is no signature that this version reads") from error
        key = self.keys.get(found.key)
        if key is None:
            raise UnsafeModelError(
                f"{path} was made with key {found.key}, which is not trusted here; {self.place} "
                f"holds {', '.join(sorted(self.keys))}"
            )
        if not _is_made_by(key, signature, content):
            raise UnsafeModelError(
                f"{path} is no signature of {directory / MANIFEST_FILE}: it was forged, made for "
                "another model, or one of the two was changed since"
            )


def _is_made_by(key: bytes, signature: bytes, content: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, _PURPOSE + content)
    except InvalidSignature:
        return False
    return True


def read_trusted_keys(place: Path) -> TrustedKeys:
    """The public keys of a file, or of all `*.pem` files of a folder. A file may hold several.

    Raises:
        SigningKeyError: there is none, or a file holds something else.
    """
    files = sorted(place.glob("*.pem")) if place.is_dir() else [place]
    found: dict[str, bytes] = {}
    for file in files:
        found.update(_read_public_keys(file))
    if not found:
        raise SigningKeyError(
            f"{place} holds no public key (*.pem); `mlops-assets keys new` makes a key pair"
        )
    return TrustedKeys(place, found)


def keys_of_signer(signing_key: Path, others: Path | None) -> TrustedKeys:
    """The keys that count where models are signed: the signing one, and those of a folder, if any.

    Raises:
        SigningKeyError: the signing key cannot be read, or a file of the folder is no public key.
    """
    own = _read_signing_key(signing_key).public_key().public_bytes_raw()
    if others is None or not any(others.glob("*.pem")):
        return TrustedKeys(signing_key, {key_id(own): own})
    return TrustedKeys(others, {key_id(own): own, **read_trusted_keys(others).keys})


def _read_public_keys(file: Path) -> dict[str, bytes]:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        blocks = file.read_bytes().split(_PEM_END)
        keys = [load_pem_public_key(block + _PEM_END) for block in blocks if block.strip()]
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise SigningKeyError(f"{file} cannot be read as public keys in PEM: {error}") from error
    found: dict[str, bytes] = {}
    for key in keys:
        if not isinstance(key, Ed25519PublicKey):
            raise SigningKeyError(f"{file} holds a {type(key).__name__}, needed: Ed25519")
        found[key_id(key.public_bytes_raw())] = key.public_bytes_raw()
    return found


def key_id(public: bytes) -> str:
    """The id of a public key of 32 bytes: the first 16 digits of its SHA-256.

    >>> key_id(bytes(32))
    '66687aadf862bd77'
    """
    return hashlib.sha256(public).hexdigest()[:16]


def sign_package(directory: Path, signing_key: Path) -> str:
    """Sign the manifest of a package after its files were verified. Safe to repeat.

    Returns:
        The id of the key.

    Raises:
        SigningKeyError: the key cannot be read.
        UnsafeModelError: the package is not what its manifest says.
    """
    content = read_manifest_bytes(directory)
    verify_files(directory, content)
    made = sign(content, signing_key)
    replace_file(directory / SIGNATURE_FILE, made.model_dump_json().encode() + b"\n", 0o644)
    return made.key


def sign(content: bytes, signing_key: Path) -> Signature:
    """The signature of a manifest's bytes.

    Raises:
        SigningKeyError: the key cannot be read.
    """
    key = _read_signing_key(signing_key)
    made = key.sign(_PURPOSE + content)
    public = key.public_key().public_bytes_raw()
    return Signature(key=key_id(public), signature=base64.b64encode(made).decode())


def read_signed_manifest(directory: Path, trusted: TrustedKeys | None) -> ModelManifest:
    """The verified manifest of a package; with keys, one of them must have signed it.

    Raises:
        UnsafeModelError: as `verify_files` and `TrustedKeys.require`; there is no manifest.
    """
    content = read_manifest_bytes(directory)
    if trusted is not None:
        trusted.require(directory, content)
    return verify_files(directory, content)


def _read_signing_key(file: Path) -> "Ed25519PrivateKey":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(file.read_bytes(), None)
    except FileNotFoundError as error:
        raise SigningKeyError(
            f"{file}: no such signing key; `mlops-assets keys new` makes one"
        ) from error
    except (OSError, TypeError, ValueError, UnsupportedAlgorithm) as error:
        raise SigningKeyError(f"{file} cannot be read as a private key in PEM: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningKeyError(f"{file} holds a {type(key).__name__}, needed: Ed25519")
    return key


def signing_key_id(signing_key: Path) -> str:
    """Id of the key with which a private key's signatures are verified."""
    return key_id(_read_signing_key(signing_key).public_key().public_bytes_raw())


def ensure_key_pair(folder: Path) -> bool:
    """Make the key pair of a folder unless it has one. Returns whether its private key was made.

    Two processes at a time agree on the key of the one that was first. A public key that a kill
    left out is written by the next call.
    """
    signing_key = folder / SIGNING_KEY
    if signing_key.is_file() and any((folder / TRUSTED).glob("*.pem")):
        return False
    is_made = not signing_key.is_file() and _link_new_key(signing_key)
    _trust(folder, _read_signing_key(signing_key).public_key())
    return is_made


def _link_new_key(signing_key: Path) -> bool:
    """Make a private key; False when another process was first."""
    aside = write_aside(signing_key, _private_pem(_new_key()))
    try:
        os.link(aside, signing_key)
    except FileExistsError:
        return False
    finally:
        aside.unlink()
    return True


def rotate_key(folder: Path) -> str:
    """Sign with a new key from now on; the former one stays trusted. Returns the new key's id.

    The new key is trusted before it signs, so a kill in between leaves a key too many and no model
    that nobody trusts.
    """
    made = _new_key()
    _trust(folder, made.public_key())
    replace_file(folder / SIGNING_KEY, _private_pem(made))
    return key_id(made.public_key().public_bytes_raw())


def distrust(folder: Path, wanted: str) -> None:
    """Trust a key no more. Models that only it signed are refused from then on.

    Raises:
        SigningKeyError: it is the key that signs, or there is none with this id.
    """
    if signing_key_id(folder / SIGNING_KEY) == wanted:
        raise SigningKeyError(
            f"key {wanted} signs in {folder}; `mlops-assets keys rotate` first, then sign what is "
            "served with the new key"
        )
    path = folder / TRUSTED / f"{wanted}.pem"
    if not path.is_file():
        raise SigningKeyError(f"{folder / TRUSTED} holds no key {wanted}")
    path.unlink()


def _new_key() -> "Ed25519PrivateKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.generate()


def _private_pem(key: "Ed25519PrivateKey") -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _trust(folder: Path, public: "Ed25519PublicKey") -> None:
    from cryptography.hazmat.primitives import serialization

    pem = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    replace_file(folder / TRUSTED / f"{key_id(public.public_bytes_raw())}.pem", pem, 0o644)
