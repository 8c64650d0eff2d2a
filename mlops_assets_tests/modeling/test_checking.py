from pathlib import Path

import pytest

from mlops_assets.errors import SpecError
from mlops_assets.modeling.checking import check_documents

HEADER = """\
type: mlops_assets.component.ModelPipeline
attributes:
"""
CHURN = """\
  name: churn
  description: Will a customer leave within a month?
  owners: [team:growth]
  source:
    path: customers.csv
  contract:
    columns:
      age: {type: integer}
      since: {type: date}
      plan: {type: string, categories: [basic, gold]}
  features:
    numeric: [age]
    categorical: [plan]
    datetime: {since: [month]}
  target:
    column: left
    task: binary
  time_column: since
  entity_key: customer
  evaluation:
    slices: [plan]
  model:
    estimator: sklearn.linear_model.LogisticRegression
    parameters: {C: 0.5}
"""
CUSTOMERS = "customer,age,since,plan,left\n1,30,2020-01-01,gold,yes\n2,40,2021-01-01,basic,no\n"


@pytest.fixture
def defs(tmp_path: Path) -> Path:
    """A folder with one valid document and its data."""
    folder = tmp_path / "churn"
    folder.mkdir()
    (folder / "defs.yaml").write_text(HEADER + CHURN)
    (folder / "customers.csv").write_text(CUSTOMERS)
    return tmp_path


def check(defs: Path, *changes: tuple[str, str]) -> list[str]:
    """Problems of the valid document after changes of its text, without the file's name."""
    path = defs / "churn" / "defs.yaml"
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text)
    return [str(problem).removeprefix(f"{path}:") for problem in check_documents(defs)]


def test_a_document_whose_references_all_lead_somewhere_passes(defs: Path) -> None:
    assert check(defs) == []


def test_the_shipped_documents_pass() -> None:
    import mlops_assets.defs

    assert check_documents(Path(mlops_assets.defs.__file__).parent) == []


IN_SOURCE = "allowed: a column of the source"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("[age]", "[agee]", f"14: features.numeric[0]: found 'agee', {IN_SOURCE}; did you mean"),
        ("[plan]", "[plans]", f"15: features.categorical[0]: found 'plans', {IN_SOURCE}; did you"),
        ("{since: [", "{sine: [", f"16: features.datetime.sine: found 'sine', {IN_SOURCE}; did"),
        ("column: left", "column: lft", f"18: target.column: found 'lft', {IN_SOURCE}; did you"),
        ("time_column: since", "time_column: at", f"20: time_column: found 'at', {IN_SOURCE}"),
        ("entity_key: customer", "entity_key: id", f"21: entity_key: found 'id', {IN_SOURCE}"),
        ("slices: [plan]", "slices: [plan, x]", "23: evaluation.slices[1]: found 'x', allowed: "),
        ("  features:", "    unique_together: [[age, x]]\n  features:",
         f"13: contract.unique_together[0][1]: found 'x', {IN_SOURCE}"),
        ("  model:", "  split: {method: grouped, group: x}\n  model:",
         f"24: split.group: found 'x', {IN_SOURCE}"),
        ("  model:", "  split: {method: stratified, id_columns: [customer, x]}\n  model:",
         f"24: split.id_columns[1]: found 'x', {IN_SOURCE}"),
        ("      age:", "      aged: {type: integer}\n      age:",
         f"10: contract.columns.aged: found 'aged', {IN_SOURCE}; did you mean 'age'?"),
        ("[age]", "[age, since_days, __x]", "14: features.numeric[2]: found '__x', allowed: a col"),
        ("customers.csv", "custmers.csv", "7: source.path: found 'custmers.csv', allowed: a so"),
    ],
)  # fmt: skip
def test_a_column_that_does_not_exist_is_told(
    defs: Path, old: str, new: str, expected: str
) -> None:
    assert any(problem.startswith(expected) for problem in check(defs, (old, new)))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "numeric: [age]\n    categorical: [plan]",
            "numeric: [age, plan]",
            "14: features.numeric[1]: found 'plan of type string', "
            "allowed: a column of type integer, number, boolean by its contract",
        ),
        (
            "time_column: since",
            "time_column: age",
            "20: time_column: found 'age of type integer', "
            "allowed: a column of type datetime, date by its contract",
        ),
        (
            "    categorical: [plan]\n    datetime: {since: [month]}\n  target:\n    column: left",
            "  target:\n    column: plan\n    positive: golden",
            "17: target.positive: found 'golden', allowed: one of basic, gold; "
            "did you mean 'gold'?",
        ),
    ],
)
def test_a_column_used_against_its_contract_is_told(
    defs: Path, old: str, new: str, expected: str
) -> None:
    assert check(defs, (old, new)) == [expected]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("leave_out: [age], hash: [since_month]", []),
        ("leave_out: [plan, agee]", ["24: serving.prediction_log.leave_out[1]: found 'agee', "
         "allowed: a feature as callers send it, such as age, plan, since_month; did you mean "
         "'age'?"]),
        ("hash: [customer]", ["24: serving.prediction_log.hash[0]: found 'customer', allowed: a "
         "feature as callers send it, such as age, plan, since_month"]),
    ],
)  # fmt: skip
def test_a_log_leaves_out_and_hashes_only_what_callers_send(
    defs: Path, policy: str, expected: list[str]
) -> None:
    serving = f"  serving: {{prediction_log: {{{policy}}}}}\n  model:"
    assert check(defs, ("  model:", serving)) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "LogisticRegression",
            "LogisticRegressor",
            "25: model.estimator: found 'sklearn.linear_model.LogisticRegressor', allowed: a name "
            "that module sklearn.linear_model has; did you mean 'LogisticRegression'?",
        ),
        (
            "LogisticRegression\n    parameters: {C: 0.5}",
            "Ridge",
            "25: model.estimator: found 'sklearn.linear_model.Ridge', allowed: a classifier for",
        ),
        ("{C: 0.5}", "{c: 0.5}", "26: model.parameters.c: found 0.5, allowed: LogisticRegr"),
        ("{C: 0.5}", "{C: -1}", "26: model.parameters: found {'C': -1}, allowed: The 'C' para"),
        (
            "    numeric: [age]",
            "    function: nowhere.at_all:add\n    numeric: [age]",
            "14: features.function: found 'nowhere.at_all:add', allowed: the import path of a mod",
        ),
        (
            "    numeric: [age]",
            "    function: mlops_assets.errors:Problem.x\n    numeric: [age]",
            "14: features.function: found",
        ),
    ],
)
def test_an_import_path_or_parameter_that_does_not_exist_is_told(
    defs: Path, old: str, new: str, expected: str
) -> None:
    [problem] = check(defs, (old, new))
    assert problem.startswith(expected)


FLIGHTS = "mlops_assets.defs.flight_delay.source"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (f"{{function: '{FLIGHTS}:load_flights', arguments: {{until: x}}}}", []),
        (
            f"{{function: '{FLIGHTS}:load_flight', arguments: {{until: x}}}}",
            [
                f"7: source.python.function: found '{FLIGHTS}:load_flight', allowed: a name that "
                f"module {FLIGHTS} has; did you mean 'load_flights'?"
            ],
        ),
        (
            f"{{function: '{FLIGHTS}:load_flights', arguments: {{untl: x}}}}",
            [
                "7: source.python.arguments: found ['untl'], "
                "allowed: load_flights also needs until",
                "7: source.python.arguments.untl: found 'x', allowed: an argument of load_flights, "
                "which takes until; did you mean 'until'?",
            ],
        ),
    ],
)
def test_a_source_function_exists_and_takes_the_arguments(
    defs: Path, source: str, expected: list[str]
) -> None:
    """With a function for a source, the contract alone tells the columns."""
    declared = "    columns:\n      left: {type: boolean}\n      customer: {type: integer}\n"
    changes = [("path: customers.csv", f"python: {source}"), ("    columns:\n", declared)]
    assert check(defs, *changes) == expected


def test_columns_that_a_feature_function_may_add_are_not_missed(defs: Path) -> None:
    (function,) = ("mlops_assets.defs.flight_delay.source:fingerprint",)
    [problem] = check(defs, ("numeric: [age]", f"function: {function}\n    numeric: [made]"))
    assert "allowed: a function of one argument, the lazy frame" in problem


def test_nothing_is_said_of_columns_that_nobody_tells(defs: Path) -> None:
    """Neither a URL is opened nor a template filled in."""
    text = CHURN.split("  contract:")[0] + "  features:" + CHURN.split("  features:")[1]
    for path in ('"{{ env.CUSTOMERS }}"', "https://example.com/customers.csv"):
        (defs / "churn" / "defs.yaml").write_text(HEADER + text.replace("customers.csv", path))
        assert check(defs) == []


def write_other(defs: Path, text: str) -> Path:
    """A second document beside the first, with data of its own."""
    path = defs / "other" / "defs.yaml"
    path.parent.mkdir()
    (path.parent / "customers.csv").write_text(CUSTOMERS)
    path.write_text(HEADER + text)
    return path


def test_two_models_of_one_name_are_told(defs: Path) -> None:
    other = write_other(defs, CHURN)
    first = defs / "churn" / "defs.yaml"
    assert [str(problem) for problem in check_documents(defs)] == [
        f"{other}:3: name: found 'churn', allowed: a name of its own; {first}:3 has it"
    ]


def test_two_models_registered_by_one_name_are_told(defs: Path) -> None:
    text = CHURN.replace("name: churn", "name: upsell") + "  registry: {name: churn}\n"
    other = write_other(defs, text)
    assert [str(problem) for problem in check_documents(defs)] == [
        f"{other}:27: registry.name: found 'churn', allowed: a name of its own; "
        "churn is registered by it too"
    ]


def test_problems_of_all_documents_are_told_at_once(defs: Path) -> None:
    other = defs / "another" / "defs.yaml"
    other.parent.mkdir()
    other.write_text("type: [")
    problems = check(defs, ("[age]", "[agee]"), ("column: left", "column: lft"))
    assert len(problems) == 3


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError):
        check_documents(tmp_path / "none")
