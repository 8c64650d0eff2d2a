"""Drafts train as they stand, and bad files are named and leave nothing behind."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mlops_assets.data.snapshots import Lake
from mlops_assets.data.sources import open_source
from mlops_assets.errors import MlopsError, SpecError
from mlops_assets.modeling.checking import check_documents
from mlops_assets.modeling.drafting.draft import draft_text, write_draft
from mlops_assets.modeling.features import BuiltFrame, build_frame
from mlops_assets.modeling.leakage import assess_leakage
from mlops_assets.modeling.training import train
from mlops_assets.spec import ModelSpec
from mlops_assets.spec.reading import read_document

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def customers(n_rows: int = 400) -> pl.DataFrame:
    """Rows with every quirk that a draft must see through."""
    rng = np.random.default_rng(7)
    age = rng.integers(18, 90, n_rows)
    left = rng.random(n_rows) < 1 / (1 + np.exp(-(age - 50) / 12))
    position = np.arange(n_rows)
    return pl.DataFrame(
        {
            "customer_id": [f"C{i:05d}" for i in range(n_rows)],
            "age": age,
            "income": pl.Series(rng.lognormal(10, 1, n_rows).round(2)).set(
                pl.Series(rng.random(n_rows) < 0.1), None
            ),
            "plan": rng.choice(["gold", "basic", "a: [b]", "yes"], n_rows),
            "born": [(date(1950, 1, 1) + timedelta(int(i) * 37)).strftime("%d.%m.%Y") for i in age],
            "created_at": [datetime(2022, 1, 1) + timedelta(hours=7 * i) for i in range(n_rows)],  # noqa: DTZ001
            "is_vip": rng.random(n_rows) < 0.2,
            "constant": ["x"] * n_rows,
            "nothing": [None] * n_rows,
            "comment": [" ".join(rng.choice(["fine", "bad", "why"], 25)) for _ in range(n_rows)],
            "score": np.where(position == 11, 10**9, rng.integers(0, 100, n_rows)),
            "closed_by": np.where(left, "clerk", "nobody"),
            "visits": [str(i % 7) if i % 50 else "N/A" for i in range(n_rows)],
            "size": [str(i % 7) if i % 50 else "huge" for i in range(n_rows)],
            "left": np.where(left, "yes", "no"),
        },
        strict=False,
    )


def frame_of(document: Path, tmp_path: Path) -> tuple[ModelSpec, BuiltFrame]:
    """What the pipeline makes of a document, up to the training frame."""
    spec = read_document(document)
    rows = open_source(spec.source, base=document.parent)
    lake = Lake(str(tmp_path / "lake"))
    snapshot = lake.write_snapshot(spec, rows, now=NOW)
    assert snapshot.contract.passed
    return spec, build_frame(lake.read_snapshot(snapshot), spec)


def make_project(folder: Path) -> Path:
    (folder / "pyproject.toml").touch()
    (folder / "data").mkdir()
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project's folder with a place for data and no models."""
    return make_project(tmp_path)


@pytest.fixture(scope="module")
def churn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The document that is drafted for the customers; tests only read it."""
    project = make_project(tmp_path_factory.mktemp("churn"))
    data = project / "data" / "customers.csv"
    customers().write_csv(data)
    return write_draft("churn", data=data, target="left", defs_dir=project / "defs")


def test_a_draft_trains_as_it_stands(churn: Path, tmp_path: Path) -> None:
    assert check_documents(churn.parents[1]) == []
    spec, built = frame_of(churn, tmp_path)
    fitted = train(spec, built)
    assert fitted.classes == [0, 1]
    assert fitted.positive == "yes"
    scores, most = built.facts.single_column_scores, spec.features.maximum_single_column_score
    assert assess_leakage(scores, most).suspects == []


def test_a_draft_tells_what_it_saw(churn: Path) -> None:
    spec = read_document(churn)
    assert spec.source.path == "../../data/customers.csv"  # both may move together
    assert spec.source.null_values == ["", "NA", "N/A"]
    assert (spec.time_column, spec.entity_key) == ("created_at", "customer_id")
    assert (spec.target.task, spec.target.positive) == ("binary", "yes")
    assert spec.features.numeric == ["age", "income", "score", "visits"]
    assert spec.features.categorical == ["plan"]
    assert spec.features.boolean == ["is_vip"]
    columns = spec.contract.columns
    assert columns["customer_id"].unique
    assert columns["income"].nullable
    assert not columns["age"].nullable
    assert columns["plan"].categories == ["a: [b]", "basic", "gold", "yes"]
    assert (columns["born"].type, columns["born"].datetime_format) == ("date", "%d.%m.%Y")
    assert (columns["score"].minimum, columns["score"].maximum) == (0, 200)


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ("customer_id", "it names the row"),
        ("constant", "it has the same value in every row"),
        ("nothing", "it has no value at all"),
        ("comment", "free text"),
        ("closed_by", "it tells left all by itself"),
        ("size", "98% of its values are numbers, but others are not ('huge')"),
    ],
)
def test_a_draft_says_why_a_column_is_left_out(churn: Path, column: str, reason: str) -> None:
    text = " ".join(churn.read_text().replace("#", " ").split())
    assert f"- {column}: {reason}" in text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a draft explains a range", "18 to 89 seen"),
        ("and values far out", "1 far out, such as 1,000,000,000, to be quarantined"),
        ("and missing ones", "of 400 missing"),
        ("and the time column", "rows stand in its order; the newest rows validate"),
        ("and the target", "two values: "),
    ],
)
def test_a_draft_explains_itself(churn: Path, text: str, told: str) -> None:
    assert told in churn.read_text(), text


def iris(n_rows: int = 150) -> pl.DataFrame:
    rng = np.random.default_rng(3)
    kind = rng.integers(0, 3, n_rows)
    return pl.DataFrame(
        {"length": kind + rng.normal(size=n_rows), "kind": np.array(["a", "b", "c"])[kind]}
    )


def rents(n_rows: int = 2_400) -> pl.DataFrame:
    rng = np.random.default_rng(4)
    rooms, city = rng.integers(1, 8, n_rows), rng.choice(["Rom", "Oslo"], n_rows)
    rent = 300 * rooms + 400 * (city == "Oslo") + rng.normal(0, 50, n_rows)
    tenant = rng.integers(0, 300, n_rows)
    return pl.DataFrame({"tenant_id": tenant, "rooms": rooms, "city": city, "rent": rent.round(2)})


@pytest.mark.parametrize(
    ("file", "frame", "target", "expected"),
    [
        pytest.param(
            "iris.parquet",
            iris(),
            "kind",
            {"task": "multiclass", "method": "stratified", "estimator": "LogisticRegression"},
            id="few_rows_of_three_classes_in_parquet",
        ),
        pytest.param(
            "rents.csv",
            rents(),
            "rent",
            {
                "task": "regression",
                "method": "grouped",
                "estimator": "HistGradientBoostingRegressor",
            },
            id="many_rows_of_numbers_about_repeated_tenants",
        ),
        pytest.param(
            "days.csv",
            iris(300).with_columns(
                day=pl.date_range(date(2020, 1, 1), date(2020, 10, 26), eager=True)
            ),
            "kind",
            {"task": "multiclass", "method": "time", "estimator": "LogisticRegression"},
            id="rows_in_the_order_of_their_days",
        ),
    ],
)
def test_drafts_of_other_data_train_too(
    project: Path, file: str, frame: pl.DataFrame, target: str, expected: dict[str, str]
) -> None:
    data = project / "data" / file
    frame.write_parquet(data) if data.suffix == ".parquet" else frame.write_csv(data)
    document = write_draft("other", data=data, target=target, defs_dir=project / "defs")
    spec, built = frame_of(document, project)
    train(spec, built)
    found = {
        "task": spec.target.task,
        "method": spec.split_method,
        "estimator": spec.model.estimator.rpartition(".")[2],
    }
    assert found == expected
    assert check_documents(project / "defs") == []


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_another_separator_is_recognized(project: Path, separator: str) -> None:
    data = project / "data" / "rows.csv"
    iris().write_csv(data, separator=separator)
    document = write_draft("other", data=data, target="kind", defs_dir=project / "defs")
    assert read_document(document).source.separator == separator


def test_rows_are_not_split_by_time_when_the_newest_lack_a_class(project: Path) -> None:
    """All of `yes` is old: by time, nothing could be judged."""
    n_rows = 300
    frame = pl.DataFrame(
        {
            "at": pl.datetime_range(
                datetime(2020, 1, 1), datetime(2020, 1, 13, 11), "1h", eager=True  # noqa: DTZ001
            ),
            "x": np.random.default_rng(0).normal(size=n_rows),
            "y": ["yes" if i < 150 and i % 3 else "no" for i in range(n_rows)],
        }
    )  # fmt: skip
    data = project / "data" / "rows.csv"
    frame.write_csv(data)
    document = write_draft("other", data=data, target="y", defs_dir=project / "defs")
    spec, built = frame_of(document, project)
    assert (spec.time_column, spec.split_method) == ("at", "stratified")
    assert "the newest rows have no 1" in document.read_text()
    train(spec, built)


def test_data_outside_the_project_is_named_by_its_whole_path(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = tmp_path_factory.mktemp("elsewhere") / "rows.csv"
    iris().write_csv(data)
    document = write_draft("other", data=data, target="kind", defs_dir=project / "defs")
    assert read_document(document).source.path == str(data)


def test_the_text_alone_can_be_had_and_nothing_is_written(project: Path) -> None:
    data = project / "data" / "rows.csv"
    iris().write_csv(data)
    text = draft_text("other", data=data, target="kind", folder=project / "defs" / "other")
    assert "name: other" in text
    assert not (project / "defs").exists()


@pytest.mark.parametrize("existing", ["defs.yaml", "defs.yml", "component.yaml"])
def test_a_document_that_exists_is_never_overwritten(project: Path, existing: str) -> None:
    data = project / "data" / "rows.csv"
    iris().write_csv(data)
    folder = project / "defs" / "other"
    folder.mkdir(parents=True)
    (folder / existing).write_text("mine")
    with pytest.raises(SpecError, match="found 'one already', allowed: another name"):
        write_draft("other", data=data, target="kind", defs_dir=project / "defs")
    assert [path.name for path in folder.iterdir()] == [existing]
    assert (folder / existing).read_text() == "mine"


ROWS = "".join(f"{i},{'xy'[i % 2]}\n" for i in range(100))
BAD: list[Any] = [
    pytest.param(None, r"rows\.csv", id="missing_file"),
    pytest.param(b"", "is empty", id="empty_file"),
    pytest.param(b"a,b\n", "no rows", id="header_only"),
    pytest.param(b"a,c\n1,2\n", "no column 'b'; it has a, c", id="missing_target"),
    pytest.param(b"a,bb\n1,2\n", "did you mean 'bb'", id="misspelt_target"),
    pytest.param(b"a b\n1 2\n3 4\n", "no column 'b'", id="wrong_delimiter"),
    pytest.param(b"a,b\n1,2\n2,3\n", "in 1 of 2 rows, at least 10", id="two_rows"),
    pytest.param(b"a,b\n1.5,2.1\n2,3.2\n4,1\n", "at least 10 are needed", id="three_numbers"),
    pytest.param(b"a,b\n" + b"1,x\n2,x\n" * 50, "one value only, 'x'", id="one_class"),
    pytest.param(b"a,b\n" + b"1,\n" * 20, "no value in any of 20 rows", id="all_null_target"),
    pytest.param(b"a,b\n" + b"1,x\n" * 50 + b"5,z\n", "'z' in 1 of 51 rows", id="class_of_one_row"),
    pytest.param(f"a,b\n{ROWS}".encode("utf-16"), "UTF-8", id="not_utf_8"),
    pytest.param(
        b"a,b\n" + b"".join(b"1,t%d\n" % i for i in range(99)),
        "text with 99 different values",
        id="text_target",
    ),
    pytest.param(
        b"a,b\n" + b"".join(b"1,%d\n2,huge\n" % i for i in range(99)),
        "text with 100 different values",
        id="mixed_target",
    ),
    pytest.param(
        b"id,b\n" + b"".join(b"k%d,%d\n" % (i, i % 2) for i in range(99)),
        "no column is left to predict b from; id: it names the row",
        id="nothing_but_ids",
    ),
    pytest.param(b"a,b\n1,x,5\n2,y\n", r"rows\.csv", id="ragged_rows"),
    pytest.param(b"a,a,b\n1,2,x\n", r"rows\.csv", id="column_twice"),
]


@pytest.mark.parametrize(("content", "message"), BAD)
def test_a_bad_file_is_named_and_leaves_nothing(
    project: Path, content: bytes | None, message: str
) -> None:
    data = project / "data" / "rows.csv"
    if content is not None:
        data.write_bytes(content)
    with pytest.raises(MlopsError, match=message):
        write_draft("other", data=data, target="b", defs_dir=project / "defs")
    assert not (project / "defs").exists()


def test_no_draft_is_written_when_every_column_gives_the_target_away(project: Path) -> None:
    data = project / "data" / "rows.csv"
    answers = np.random.default_rng(0).integers(0, 2, 100)
    ids = [f"k{i}" for i in range(100)]
    pl.DataFrame({"id": ids, "a": answers * 5, "b": answers}).write_csv(data)
    with pytest.raises(MlopsError, match="a: it tells b all by itself"):
        write_draft("other", data=data, target="b", defs_dir=project / "defs")


def test_rows_of_a_class_too_rare_to_learn_are_quarantined(project: Path) -> None:
    data = project / "data" / "rows.csv"
    rare = pl.DataFrame({"length": [0.0] * 3, "kind": ["d"] * 3})
    pl.concat([iris(), rare]).write_csv(data)
    document = write_draft("other", data=data, target="kind", defs_dir=project / "defs")
    spec, built = frame_of(document, project)
    assert spec.contract.columns["kind"].categories == ["a", "b", "c"]
    assert spec.contract.allowed_violation_ratio == 0.04  # twice what is there
    assert built.facts.classes == ["a", "b", "c"]
    assert "1 class with fewer than 10 rows quarantined" in document.read_text()


@pytest.mark.parametrize("name", ["Churn", "1churn", "churn-model", "a" * 41, "../churn", ""])
def test_a_name_that_is_none_for_a_model_is_refused(project: Path, name: str) -> None:
    with pytest.raises(SpecError, match="lower-case letters, digits and _"):
        write_draft(name, data=project / "x.csv", target="b", defs_dir=project / "defs")
    assert not (project / "defs").exists()
