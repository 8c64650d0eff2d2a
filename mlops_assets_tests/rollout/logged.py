"""A prediction log made by hand, in the tables and columns of the real one."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from mlops_assets.serving.home import ServingHome
from mlops_assets.serving.prediction_log.frames import build_frame
from mlops_assets.serving.prediction_log.store import PredictionStore


class HandmadeLog:
    """Appends answers, failures and truths of one service."""

    def __init__(self, home: Path, service: str = "toy") -> None:
        self.store = PredictionStore(str(ServingHome.under(home).tables))
        self._service = service
        self._offset = 0

    def answer(
        self,
        revision: str,
        times: Sequence[datetime],
        scores: Sequence[float],
        *,
        ids: Sequence[str] | None = None,
        units: Sequence[str] | None = None,
        ms: float = 1.0,
        shadow: bool = False,
        plan: str = "basic",
        labels: Sequence[str] | None = None,
    ) -> list[str]:
        """Answers to one row each, of a binary model unless labels say else; returns their ids."""
        self._offset += 1
        names = ids or [f"{revision}-{self._offset}-{n}" for n in range(len(times))]
        rows: list[dict[str, Any]] = [
            {
                "prediction_id": name,
                "row": 0,
                "event_us": int(at.timestamp() * 1_000_000),
                "revision": revision,
                "model_version": revision[1:],
                "protocol": "v1",
                "latency_ms": ms,
                "prediction": labels[n] if labels else str(int(score > 0.5)),
                "probability": score,
                "probabilities": [1 - score, score],
                "shadow": shadow,
                "unit": units[n] if units else "",
                "feature__plan": plan,
            }
            for n, (name, at, score) in enumerate(zip(names, times, scores, strict=True))
        ]
        features = [("plan", "category")]
        self.store.append_predictions(
            self._service, build_frame(rows, features), features, source="s", offset=self._offset
        )
        return list(names)

    def fail(
        self, revision: str, times: Sequence[datetime], ids: Sequence[str], *, shadow: bool = False
    ) -> None:
        """Failed requests."""
        self._offset += 1
        rows = [
            {
                "prediction_id": name,
                "event_time": at,
                "day": at.date(),
                "revision": revision,
                "status": 500,
                "latency_ms": 1.0,
                "unit": "",
                "shadow": shadow,
            }
            for name, at in zip(ids, times, strict=True)
        ]
        self.store.append_failures(self._service, rows, source="f", offset=self._offset)

    def tell_truth(self, ids: Sequence[str], values: Sequence[str], at: datetime) -> None:
        """What turned out to be true."""
        self._offset += 1
        rows = [
            {
                "prediction_id": name,
                "row": 0,
                "value": value,
                "time": at,
                "received_at": at,
                "day": at.date(),
            }
            for name, value in zip(ids, values, strict=True)
        ]
        self.store.append_truth(self._service, rows, source="t", offset=self._offset)
