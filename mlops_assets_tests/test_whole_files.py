"""A file is replaced whole, or not at all."""

import os
from pathlib import Path

import pytest

from mlops_assets.whole_files import replace_file, write_aside


def test_only_the_new_file_is_left(tmp_path: Path) -> None:
    path = tmp_path / "made" / "results.json"
    replace_file(path, "one")
    replace_file(path, b"two", 0o644)
    assert [p.name for p in path.parent.iterdir()] == ["results.json"]
    assert path.read_text() == "two"
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_file_that_cannot_be_synced_leaves_the_former(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "results.json"
    replace_file(path, "one")

    def full(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        replace_file(path, "two")
    assert path.read_text() == "one"
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_a_file_that_cannot_be_switched_in_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    (path / "a folder in its place").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        replace_file(path, "two")
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_what_is_written_aside_is_whole_and_private(tmp_path: Path) -> None:
    aside = write_aside(tmp_path / "key.pem", "secret")
    assert aside.parent == tmp_path
    assert aside.name != "key.pem"
    assert aside.read_text() == "secret"
    assert aside.stat().st_mode & 0o777 == 0o600
