import gzip
from pathlib import Path

import fsspec
import pytest

from mlops_assets.data.sources.files import (
    find_files,
    fingerprint_of,
    format_of,
    local_copies,
)
from mlops_assets.errors import SourceError
from mlops_assets.spec import SourceSpec


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.csv", "a.csv", "deep/c.csv", ".hidden.csv", "_log/d.csv", "notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x\n1\n")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "names"),
    [
        pytest.param("a.csv", ["a.csv"], id="a_file"),
        pytest.param("*.csv", ["a.csv", "b.csv"], id="a_glob"),
        pytest.param("**/*.csv", ["a.csv", "b.csv", "deep/c.csv"], id="a_deep_glob"),
        pytest.param(".", ["a.csv", "b.csv", "deep/c.csv"], id="a_folder_without_hidden_files"),
        pytest.param("file://{folder}/a.csv", ["a.csv"], id="a_file_url"),
        pytest.param("{folder}/a.csv", ["a.csv"], id="an_absolute_path"),
    ],
)
def test_the_files_of_a_path(path: str, names: list[str], folder: Path) -> None:
    found = find_files(SourceSpec(path=path.format(folder=folder)), base=folder)
    relative = [str(Path(file.name).relative_to(folder)) for file in found]
    assert [name for name in relative if not name.startswith("_log")] == names


@pytest.mark.parametrize(
    ("path", "message"),
    [
        pytest.param("nowhere.csv", r"there is no file .*nowhere.csv; relative", id="a_file"),
        pytest.param("no*.csv", r"no file matches .*/no\*.csv", id="a_glob"),
        pytest.param("empty", "holds no CSV or Parquet file", id="a_folder"),
        pytest.param("memory://nowhere/x.csv", "there is no file memory://nowhere", id="a_url"),
        pytest.param("abc://x/y.csv", "abc://x/y.csv cannot be opened", id="an_unknown_protocol"),
    ],
)
def test_a_path_without_files_is_named(path: str, message: str, folder: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(SourceError, match=message):
        find_files(SourceSpec(path=path), base=folder)


def test_the_fingerprint_follows_content_names_and_options(folder: Path) -> None:
    def fingerprint(separator: str = ",") -> str | None:
        spec = SourceSpec(path="*.csv", separator=separator)
        return fingerprint_of(spec, find_files(spec, base=folder))

    before = fingerprint()
    assert fingerprint() == before
    assert fingerprint(";") != before
    (folder / "a.csv").write_text("x\n1\n2\n")
    changed = fingerprint()
    assert changed != before
    (folder / "b.csv").unlink()
    assert fingerprint() not in (before, changed)


def test_a_url_is_copied_and_has_a_fingerprint(folder: Path) -> None:
    fsspec.filesystem("memory").pipe("/visits/a.csv", b"x\n1\n")
    spec = SourceSpec(path="memory://visits/*.csv")
    files = find_files(spec, base=folder)
    assert [file.name for file in files] == ["memory:///visits/a.csv"]
    assert local_copies(files)[0].read_bytes() == b"x\n1\n"
    assert fingerprint_of(spec, files) is not None


def test_a_compressed_file_is_unpacked(folder: Path) -> None:
    (folder / "z.csv.gz").write_bytes(gzip.compress(b"x\n1\n"))
    spec = SourceSpec(path="z.csv.gz")
    [copy] = local_copies(find_files(spec, base=folder))
    assert (copy.name, copy.read_bytes()) == ("z.csv", b"x\n1\n")
    assert format_of(spec, base=folder) == "csv"


@pytest.mark.parametrize(
    ("path", "options", "found"),
    [
        pytest.param("a.csv", {}, "csv", id="by_ending"),
        pytest.param("a.csv", {"format": "parquet"}, "parquet", id="as_declared"),
        pytest.param("table", {}, "delta", id="a_folder_with_a_delta_log"),
    ],
)
def test_the_format(path: str, options: dict[str, str], found: str, folder: Path) -> None:
    (folder / "table/_delta_log").mkdir(parents=True)
    spec = SourceSpec.model_validate({"path": path, **options})
    assert format_of(spec, base=folder) == found


@pytest.mark.parametrize("path", ["notes.md", "mixed"])
def test_a_format_that_cannot_be_told_is_asked_for(path: str, folder: Path) -> None:
    (folder / "mixed").mkdir()
    (folder / "mixed/a.csv").touch()
    (folder / "mixed/a.parquet").touch()
    with pytest.raises(SourceError, match="set it to csv, parquet or delta"):
        format_of(SourceSpec(path=path), base=folder)
