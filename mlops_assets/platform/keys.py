"""The key pair of a home: made by its first `up`, which then signs what stands there already.

A home keeps its own key, so that one machine runs by the rules of a cluster: nothing unsigned is
loaded. Models of a home from before there were signatures are signed once, when its key is made:
whoever could write there then could also have had them trained.
"""

from collections.abc import Iterator

from mlops_assets.errors import UnsafeModelError
from mlops_assets.modeling.manifest import MANIFEST_FILE
from mlops_assets.modeling.signing import SIGNING_KEY, ensure_key_pair, sign_package
from mlops_assets.platform.home import Home


def prepare_keys(home: Home) -> Iterator[str]:
    """Make the key pair of a home unless it has one; yields what was done, in words.

    The folder takes its name last: after a kill before that, the next start begins anew. A folder
    that lost its signing key gets another one; what its trusted keys signed stays signed.

    Raises:
        SigningKeyError: a key cannot be read.
    """
    if (home.keys / SIGNING_KEY).is_file():
        return
    if home.keys.is_dir() and any(home.keys.iterdir()):
        ensure_key_pair(home.keys)
        yield f"{home.keys / SIGNING_KEY} was gone: made a new key, which is trusted as well"
        return
    aside = home.root / ".keys.aside"
    ensure_key_pair(aside)
    n_signed = 0
    for package in sorted(path.parent for path in home.mlflow_artifacts.rglob(MANIFEST_FILE)):
        try:
            sign_package(package, aside / SIGNING_KEY)
        except UnsafeModelError as error:
            yield f"not signed: {error}"
        else:
            n_signed += 1
    aside.rename(home.keys)
    if n_signed:
        yield f"made the key pair {home.keys}, and signed the {n_signed} models of this home"
