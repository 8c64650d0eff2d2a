import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_assets.errors import SpecError
from mlops_assets.spec.reading import discover_documents, read_document, read_documents
from mlops_assets_tests.spec.conftest import SHORTEST, Write, problems_of


def test_the_shortest_document_is_read_with_all_defaults(write: Write) -> None:
    spec = read_document(write(SHORTEST))
    assert spec.name == "churn"
    assert spec.split_method == "stratified"
    assert spec.metric == "roc_auc"
    assert spec.service == "churn"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(
            "name: churn",
            "name: Churn Model",
            "3: name: found 'Churn Model', allowed: lower-case letters, digits and _, "
            "the first a letter, the last no _, at most 40",
            id="name_that_is_no_identifier",
        ),
        pytest.param(
            "numeric: [age]",
            "numerics: [age]",
            "9: features.numerics: found ['age'], allowed: no field of that name; "
            "did you mean 'numeric'?",
            id="unknown_field_near_a_known_one",
        ),
        pytest.param(
            "    task: binary",
            "    task: binary\n    zzz: 1",
            "13: target.zzz: found 1, allowed: no field of that name; "
            "fields here: column, task, positive",
            id="unknown_field_near_none",
        ),
        pytest.param(
            "    column: left\n",
            "",
            "10: target.column: found None, allowed: a value, it has no default "
            "(Column that holds the answer)",
            id="missing_field_has_its_parents_line",
        ),
        pytest.param(
            "task: binary",
            "task: binry",
            "12: target.task: found 'binry', allowed: 'binary', 'multiclass' or 'regression'; "
            "did you mean 'binary'?",
            id="misspelt_word_of_a_closed_set",
        ),
        pytest.param(
            "[team:growth]",
            "\n    - team:growth\n    - someone",
            "7: owners[1]: found 'someone', allowed: team:<name> or an e-mail address",
            id="item_of_a_list_has_its_own_line",
        ),
        pytest.param(
            "owners: [team:growth]",
            "owners: []",
            "5: owners: found [], allowed: at least 1",
            id="empty_list",
        ),
        pytest.param(
            "numeric: [age]",
            "numeric: [1, age]",
            '9: features.numeric[0]: found 1, allowed: text: put it in quotes, "1"',
            id="number_where_text_belongs",
        ),
        pytest.param(
            "numeric: [age]",
            "numeric: [on]",
            "9: features.numeric[0]: found True, allowed: text: put it in quotes, "
            "or YAML reads yes, no, on and off as true and false",
            id="yaml_1_1_truth_where_text_belongs",
        ),
        pytest.param(
            "    estimator:",
            '    seed: "1"\n    estimator:',
            "14: model.seed: found '1', allowed: a whole number, without quotes",
            id="text_where_a_number_belongs",
        ),
        pytest.param(
            "    estimator:",
            "    seed: -1\n    estimator:",
            "14: model.seed: found -1, allowed: a number of at least 0",
            id="number_out_of_range",
        ),
        pytest.param(
            "    task: binary",
            "    task: binary\n    positive: 1.5",
            '13: target.positive: found 1.5, allowed: text: put it in quotes, "1.5"; '
            "or a whole number; or true or false",
            id="one_problem_for_all_members_of_a_union",
        ),
        pytest.param(
            "  model:",
            "  split:\n    validation_window: 7 days\n  model:",
            "14: split.validation_window: found '7 days', allowed: a whole number and a unit of "
            "s, m, h, d or w, such as 7d",
            id="duration_without_a_known_unit",
        ),
        pytest.param(
            "  model:",
            "  time_column: at\n  split:\n    validation_window: '{{ env.WINDOW }}'\n  model:",
            "15: split.validation_window: found '{{ env.WINDOW }}', allowed: a whole number and a "
            "unit of s, m, h, d or w, such as 7d, written out: templates may stand in plain text "
            "only",
            id="template_where_it_cannot_be_filled_in",
        ),
        pytest.param(
            "  model:\n",
            "  contract:\n    columns:\n      Hours per day: {type: numbr}\n  model:\n",
            "15: contract.columns['Hours per day'].type: found 'numbr', allowed: 'string', "
            "'integer', 'number', 'boolean', 'datetime' or 'date'; did you mean 'number'?",
            id="column_name_that_is_no_identifier",
        ),
        pytest.param(
            "    path: customers.csv",
            "    path: a.csv\n    python: {function: 'a.b:c'}",
            "6: source: found 'path, python', allowed: exactly one of path, sql and python",
            id="two_sources",
        ),
        pytest.param(
            "numeric: [age]",
            "numeric: [age]\n    categorical: [sex, age]",
            "10: features.categorical[1]: found 'age', allowed: each column once",
            id="feature_twice",
        ),
        pytest.param(
            "column: left",
            "column: age",
            "11: target.column: found 'age', allowed: a column that is not a feature",
            id="target_among_the_features",
        ),
        pytest.param(
            "  model:\n",
            "  split:\n    method: time\n  model:\n",
            "14: split.method: found 'time', allowed: time only with time_column",
            id="time_split_without_time_column",
        ),
        pytest.param(
            "  model:\n",
            "  evaluation: {metric: r2}\n  model:\n",
            "13: evaluation.metric: found 'r2', allowed: with task binary one of roc_auc, "
            "average_precision, balanced_accuracy, accuracy, f1, log_loss, brier_score",
            id="metric_of_another_task",
        ),
        pytest.param(
            "  name: churn\n",
            "  name: churn\n  name: other\n",
            "4: name: found 'name', allowed: each field once; it stands in line 3 already",
            id="field_twice",
        ),
        pytest.param(
            "attributes:\n",
            "atributes: {}\nattributes:\n",
            "2: atributes: found {}, allowed: one of type, attributes, template_vars_module, "
            "requirements, post_processing; did you mean 'attributes'?",
            id="unknown_field_beside_attributes",
        ),
        pytest.param(
            "ModelPipeline",
            "ModelPipline",
            "1: type: found 'mlops_assets.component.ModelPipline', "
            "allowed: mlops_assets.component.ModelPipeline",
            id="misspelt_type",
        ),
        pytest.param(
            "mlops_assets.component.ModelPipeline",
            "mlops_assets.ModelPipeline",
            "1: type: found 'mlops_assets.ModelPipeline', "
            "allowed: mlops_assets.component.ModelPipeline",
            id="type_without_its_module",
        ),
    ],
)
def test_a_mistake_is_told_with_line_field_found_and_allowed(
    write: Write, old: str, new: str, expected: str
) -> None:
    assert old in SHORTEST
    assert problems_of(write(SHORTEST.replace(old, new, 1))) == [expected]


def test_all_problems_are_told_at_once_in_the_order_of_their_lines(write: Write) -> None:
    text = SHORTEST.replace("churn", "Churn").replace("binary", "yes").replace("[age]", "age")
    lines = [problem.split(": ")[:2] for problem in problems_of(write(text))]
    assert lines == [["3", "name"], ["9", "features.numeric"], ["12", "target.task"]]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"", "1: file: found 'nothing'", id="empty_file"),
        pytest.param(b"# nothing yet\n", "1: file: found 'nothing'", id="comments_only"),
        pytest.param(b"a: [1\nb: 2\n", '2: file: found "while parsing a flow', id="open_bracket"),
        pytest.param(b"a: 1\n\tb: 2\n", "2: file: found", id="tab"),
        pytest.param(b"a: 1\nb: \xff\n", "2: file: found 'byte 0xff'", id="not_utf_8"),
        pytest.param(b"a: !!python/object:os.system 1\n", "1: file: found", id="python_object"),
        pytest.param(b"- a\n- b\n", "1: document: found ['a', 'b']", id="a_list"),
        pytest.param(b"attributes: {}\n", "1: type: found None", id="no_type"),
        pytest.param(
            b"type: mlops_assets.component.ModelPipeline\n",
            "1: name: found None",
            id="no_attributes",
        ),
    ],
)
def test_a_file_that_holds_no_document_is_refused(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    path = tmp_path / "defs.yaml"
    path.write_bytes(content)
    assert problems_of(path)[0].startswith(expected)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    [problem] = problems_of(tmp_path / "defs.yaml")
    assert problem.endswith("found 'No such file or directory', allowed: a file that can be read")


def test_documents_of_one_file_are_all_read_and_other_components_passed_over(write: Write) -> None:
    other = "type: some_package.SomeComponent\nattributes: {anything: [1, 2]}\n"
    path = write("---\n".join([SHORTEST, other, SHORTEST.replace("churn", "upsell")]))
    assert [spec.name for spec in read_documents(path)] == ["churn", "upsell"]
    with pytest.raises(SpecError, match="found '2 documents'"):
        read_document(path)


def test_lines_are_counted_from_the_start_of_the_file_in_every_document(write: Write) -> None:
    broken = SHORTEST.replace("churn", "B A D")
    [problem] = problems_of(write(f"{SHORTEST}---\n{broken}"))
    assert problem.startswith("18: name")


def test_templates_stay_as_they_are_where_plain_text_belongs(write: Write) -> None:
    path = write(SHORTEST.replace("customers.csv", '"{{ env.CUSTOMERS }}"'))
    assert read_document(path).source.path == "{{ env.CUSTOMERS }}"


def test_documents_are_found_in_every_folder_and_one_in_each(tmp_path: Path) -> None:
    for name in ("b/defs.yaml", "b/component.yaml", "a/x/defs.yml", "a/other.yaml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    found = [str(path.relative_to(tmp_path)) for path in discover_documents(tmp_path)]
    assert found == ["a/x/defs.yml", "b/defs.yaml"]


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="folder with one folder a model"):
        discover_documents(tmp_path / "none")


def test_the_shipped_documents_are_valid() -> None:
    import mlops_assets.defs

    shipped = discover_documents(Path(mlops_assets.defs.__file__).parent)
    assert [read_document(path).name for path in shipped] == ["flight_delay", "music_therapy"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.none(), inner)
    ),
    max_leaves=4,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_stands_in_a_field_is_read_or_told(tmp_path: Path, data: st.DataObject) -> None:
    document: dict[str, Any] = yaml.safe_load(SHORTEST)
    place = document["attributes"]
    while True:
        key = data.draw(st.sampled_from(sorted(place)))
        if not isinstance(place[key], dict) or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(VALUES)
    path = tmp_path / "defs.yaml"
    path.write_text(yaml.safe_dump(document))
    for problem in problems_of(path):
        assert re.match(r"\d+: .+: found .*, allowed: .+", problem)
