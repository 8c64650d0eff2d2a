"""The code on the page about sources and feature functions runs, from the rows to the model."""

import importlib
import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlops_assets.data.snapshots import Lake
from mlops_assets.data.sources import open_source, source_fingerprint
from mlops_assets.errors import SourceError
from mlops_assets.modeling.checking import check_documents
from mlops_assets.modeling.features import build_frame
from mlops_assets.modeling.training import train
from mlops_assets.spec.reading import read_document

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"`(my_project/[\w/.]+)`:\n\n```\w+\n(.*?)```", re.DOTALL)


@pytest.fixture
def visits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The document of the page, with the code beside it and data in the working folder."""
    blocks = BLOCK.findall((DOCS / "sources-and-features.md").read_text())
    assert [Path(name).name for name, _ in blocks] == ["source.py", "features.py", "defs.yaml"]
    for name, text in blocks:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    began = datetime(2024, 1, 1, 8, tzinfo=UTC)
    lines = [
        {
            "visit": i,
            "began_at": (began + timedelta(hours=5 * i)).strftime("%Y-%m-%dT%H:%M:%S"),
            "n_adults": 1 + i % 3,
            "n_children": i % 2,
            "n_visits_before": i % 4,
            "minutes": 10.0 + 5 * (i % 3) + i % 7 if i % 20 else None,
        }
        for i in range(300)
    ]
    (tmp_path / "visits.ndjson").write_text("\n".join(map(json.dumps, lines)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield tmp_path / "my_project" / "defs" / "visits" / "defs.yaml"
    for name in [name for name in sys.modules if name.split(".")[0] == "my_project"]:
        del sys.modules[name]


def test_the_example_is_checked_without_being_imported(visits: Path) -> None:
    assert check_documents(visits.parents[1]) == []
    assert "my_project" not in sys.modules


def test_the_example_trains(visits: Path, tmp_path: Path) -> None:
    spec = read_document(visits)
    rows = open_source(spec.source, base=visits.parent)
    lake = Lake(str(tmp_path / "lake"))
    snapshot = lake.write_snapshot(spec, rows, now=datetime(2025, 1, 1, tzinfo=UTC))
    assert snapshot.contract.passed
    assert snapshot.facts == {"origin": "nightly export"}
    built = build_frame(lake.read_snapshot(snapshot), spec)
    assert built.facts.n_without_target == 15
    assert [field.name for field in train(spec, built).features][:3] == [
        "n_people",
        "n_visits_before",
        "is_first_visit",
    ]


def test_the_examples_fingerprint_follows_the_file(visits: Path, tmp_path: Path) -> None:
    source = read_document(visits).source
    before = source_fingerprint(source, base=visits.parent)
    assert before == source_fingerprint(source, base=visits.parent)
    data = tmp_path / "visits.ndjson"
    data.write_text(data.read_text() + "\n")
    assert before != source_fingerprint(source, base=visits.parent)


def test_the_examples_error_reaches_the_user_as_it_is(visits: Path, tmp_path: Path) -> None:
    (tmp_path / "visits.ndjson").unlink()
    with pytest.raises(SourceError, match="the desk exports it every night"):
        open_source(read_document(visits).source, base=visits.parent)


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([\w./-]+\.\w+)(?:#[\w-]+)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
