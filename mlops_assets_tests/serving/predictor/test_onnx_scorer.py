"""However a batch came, the graph gets the same inputs."""

from pathlib import Path

import numpy as np
import pytest

from mlops_assets.serving.predictor.model import load_model
from mlops_assets.serving.protocol.batch import Batch
from mlops_assets.serving.protocol.v1 import V1Decoder
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
