"""When the answers of one turn are sent: together, and none waits for what takes long."""

import asyncio
from pathlib import Path

import pytest

from mlops_assets.serving.predictor import turn
from mlops_assets.serving.predictor.call import V1, Desk, PredictionCall
from mlops_assets.serving.predictor.execution import Execution
from mlops_assets.serving.predictor.group_commit import PATIENT_BYTES, PATIENT_SECONDS
from mlops_assets.serving.predictor.metrics import Metrics
from mlops_assets.serving.predictor.model import load_model
from mlops_assets.serving.predictor.settings import PredictorSettings
from mlops_assets.serving.protocol.rsgi import RequestHeaders
from mlops_assets_tests.serving.rsgi import Exchange

QUICK = b'{"instances":[[1,2,3]]}'
THREE_ROWS = b'{"instances":[[1,2,3],[1,2,3],[1,2,3]]}'
LONG = QUICK + b" " * PATIENT_BYTES


@pytest.fixture
def desk(positive_model: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(turn, "_MOST_SECONDS", 60.0)
    model = load_model(positive_model)
    execution = Execution(model.scorer, max_waiting=4, max_wait_seconds=1)
    execution.cost.learn(1, PATIENT_SECONDS / 10)
    execution.cost.learn(3, 2 * PATIENT_SECONDS)
    settings = PredictorSettings(model_name="toy", model_dir=positive_model)
    return Desk(settings, model, execution, Metrics(1), None)


@pytest.mark.parametrize(
    ("bodies", "at_once"),
    [
        pytest.param([QUICK, QUICK], [False, False], id="quick_ones_are_sent_together"),
        pytest.param([QUICK, LONG], [True, False], id="none_waits_for_a_long_body"),
        pytest.param([QUICK, THREE_ROWS], [True, False], id="nor_for_a_batch_that_takes_long"),
    ],
)
def test_answers_of_one_turn(desk: Desk, bodies: list[bytes], at_once: list[bool]) -> None:
    exchanges = [Exchange(body) for body in bodies]

    def statuses() -> list[object]:
        return [exchange.answer and exchange.answer.status for exchange in exchanges]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for exchange, body in zip(exchanges, bodies, strict=True):
            PredictionCall(desk, V1, RequestHeaders({}), exchange, loop).take(body)
        assert statuses() == [200 if sent else None for sent in at_once]
        await asyncio.sleep(0)

    asyncio.run(main())
    assert statuses() == [200, 200]
    assert desk.n_in_flight == 0
