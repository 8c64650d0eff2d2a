"""The key pair with which tests sign their packages: the same in every process of a test run."""

import functools
import tempfile
from pathlib import Path

from mlops_assets.modeling.signing import SIGNING_KEY, TRUSTED, key_id

_SEED = b"a key that only tests ever trust"


@functools.cache
def _folder() -> "tempfile.TemporaryDirectory[str]":
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    folder = tempfile.TemporaryDirectory()  # removed when the process ends
    key = Ed25519PrivateKey.from_private_bytes(_SEED)
    pem, none = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, none)
    Path(folder.name, SIGNING_KEY).write_bytes(private)
    write_public_key(Path(folder.name, TRUSTED))
    return folder


def signing_key() -> Path:
    """The private key."""
    return Path(_folder().name, SIGNING_KEY)


def trusted_keys() -> Path:
    """The folder of its public key."""
    return Path(_folder().name, TRUSTED)


def write_public_key(trusted: Path) -> None:
    """Have a folder of trusted keys hold the public key too."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public = Ed25519PrivateKey.from_private_bytes(_SEED).public_key()
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    trusted.mkdir(parents=True, exist_ok=True)
    name = f"{key_id(public.public_bytes_raw())}.pem"
    (trusted / name).write_bytes(public.public_bytes(serialization.Encoding.PEM, info))
