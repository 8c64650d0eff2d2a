"""The commands about the keys that sign models: new, list, rotate, sign, verify, distrust."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mlops_assets.cli.options import HomeOption, JsonOption, locate

keys = typer.Typer(
    name="keys",
    help=(
        "The keys that sign models. A predictor loads a model only if a key that it trusts signed "
        "it; the signing key never lies where models are kept."
    ),
    no_args_is_help=True,
)

FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        help="Folder of the keys, such as one that becomes a Secret. [default: the home's]",
        show_default=False,
    ),
]
PackagesArgument = Annotated[
    list[str], typer.Argument(help="Folder or URI of a packaged model.", metavar="PACKAGE...")
]


@keys.command()
def new(*, folder: FolderOption = None, home: HomeOption = None) -> None:
    """Make a key pair unless there is one, and print its id. Safe to repeat."""
    from mlops_assets.modeling.signing import SIGNING_KEY, TRUSTED, ensure_key_pair, signing_key_id

    place = _place(folder, home)
    made = ensure_key_pair(place)
    _tell(f"{'made' if made else 'found'} {place / SIGNING_KEY}; predictors need {place / TRUSTED}")
    typer.echo(signing_key_id(place / SIGNING_KEY))


@keys.command("list")
def list_keys(
    *, folder: FolderOption = None, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Show the keys that predictors trust, and which of them signs."""
    from mlops_assets.modeling.signing import (
        SIGNING_KEY,
        TRUSTED,
        read_trusted_keys,
        signing_key_id,
    )

    place = _place(folder, home)
    signs = signing_key_id(place / SIGNING_KEY) if (place / SIGNING_KEY).is_file() else None
    trusted = sorted(read_trusted_keys(place / TRUSTED).keys)
    if as_json:
        typer.echo(json.dumps({"signs": signs, "trusted": trusted}))
        return
    for key in trusted:
        typer.echo(f"{key}{' signs' if key == signs else ''}")


@keys.command()
def rotate(*, folder: FolderOption = None, home: HomeOption = None) -> None:
    """Sign with a new key from now on, and print its id. The former one stays trusted.

    Then sign what is served with it (`sign`), and `distrust` the former one.
    """
    from mlops_assets.modeling.signing import rotate_key

    typer.echo(rotate_key(_place(folder, home)))


@keys.command()
def sign(
    packages: PackagesArgument, *, folder: FolderOption = None, home: HomeOption = None
) -> None:
    """Sign packaged models anew, after their files were verified. Safe to repeat."""
    from mlops_assets.modeling.signing import SIGNING_KEY
    from mlops_assets.modeling.stored_package import sign_stored

    signing_key = _place(folder, home) / SIGNING_KEY
    for package in packages:
        key = sign_stored(package, signing_key)
        _tell(f"{package}: signed with {key}")


@keys.command()
def verify(
    packages: PackagesArgument, *, folder: FolderOption = None, home: HomeOption = None
) -> None:
    """Verify packaged models as a predictor does before it loads one."""
    from mlops_assets.modeling.signing import TRUSTED, read_signed_manifest, read_trusted_keys
    from mlops_assets.modeling.stored_package import fetched

    trusted = read_trusted_keys(_place(folder, home) / TRUSTED)
    for package in packages:
        with fetched(package) as directory:
            manifest = read_signed_manifest(directory, trusted)
        typer.echo(f"{package}: model {manifest.model}, digest {manifest.model_digest}")


@keys.command()
def distrust(
    key: Annotated[str, typer.Argument(help="Id of the key, as `list` shows it.")],
    *,
    folder: FolderOption = None,
    home: HomeOption = None,
) -> None:
    """Trust a key no more. A model that only it signed is refused at its next start."""
    from mlops_assets.modeling.signing import distrust as remove

    remove(_place(folder, home), key)


def _place(folder: Path | None, home: Path | None) -> Path:
    return folder if folder is not None else locate(home)[0].keys


def _tell(words: str) -> None:
    typer.echo(words, err=True)
