"""However a batch came, the graph gets the same inputs."""

from pathlib import Path

import numpy as np
import pytest

from mlops_assets.serving.predictor.model import load_model
from mlops_assets.serving.protocol.batch import Batch
from mlops_assets.serving.protocol.refusal import RequestError
from mlops_assets.serving.protocol.v1 import V1Decoder
from mlops_assets_tests.rollout.faulty import write_linear
from mlops_assets_tests.serving.packages import write_binary_model, write_mixed_model


@pytest.mark.parametrize("kind", ["binary", "mixed"])
def test_rows_and_columns_get_the_same_answers(kind: str, tmp_path: Path) -> None:
    write = write_binary_model if kind == "binary" else write_mixed_model
    model = load_model(write(tmp_path / "model"))
    body = b'{"instances":[[1,2,3],[4,5,-0.5]]}'
    if kind == "mixed":
        body = b'{"instances":[[1.5,"rock",true],[null,null,null],[-2,"never seen",false]]}'
    came = V1Decoder(model.manifest.features).decode(body, max_rows=5)
    assert came.rows is not None
    answer = model.scorer.score(came)
    again = model.scorer.score(Batch(came.n_rows, came.columns))
    assert answer.labels == again.labels
    assert answer.probabilities is not None
    assert again.probabilities is not None
    np.testing.assert_array_equal(answer.probabilities, again.probabilities)


@pytest.mark.parametrize(
    ("row", "status", "words"),
    [
        pytest.param(b"[-1,0,0]", 500, "the model's answer is no number", id="model_is_broken"),
        pytest.param(b"[null,0,0]", 400, "expected no missing value", id="a_value_is_missing"),
    ],
)
@pytest.mark.parametrize("n_rows", [1, 100])
def test_no_number_is_the_models_fault_unless_a_value_is_missing(
    row: bytes, status: int, words: str, n_rows: int, tmp_path: Path
) -> None:
    """Of the rows before it each has an answer."""
    model = load_model(write_linear(tmp_path / "model", digest="1" * 64, nan_below=0.0))
    rows = b",".join([b"[1,0,0]"] * (n_rows - 1) + [row])
    batch = V1Decoder(model.manifest.features).decode(b'{"instances":[%b]}' % rows, max_rows=200)
    with pytest.raises(RequestError, match=f"row {n_rows - 1}: {words}") as caught:
        model.scorer.score(batch)
    assert caught.value.status == status
