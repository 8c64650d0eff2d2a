"""What a predictor tells about itself and its model: every answer that is no prediction."""

from collections.abc import Callable

import msgspec

from mlops_assets.serving.predictor.metrics import Metrics
from mlops_assets.serving.predictor.model import ServedModel
from mlops_assets.serving.predictor.settings import PredictorSettings
from mlops_assets.serving.protocol import v2
from mlops_assets.serving.protocol.http import Reply, json_reply, method_reply, metrics_reply
from mlops_assets.serving.protocol.refusal import RequestError

_TENSOR_KINDS = {"number": "FP64", "category": "BYTES", "boolean": "BOOL"}


class Pages:
    """The paths of one model that are read.

    Attributes:
        draining: From now on it is not ready.
    """

    def __init__(self, settings: PredictorSettings, model: ServedModel, metrics: Metrics) -> None:
        self.draining = False
        self._settings = settings
        self._manifest = model.manifest
        self._engine = model.engine
        self._metrics = metrics
        self._pages = self._name_pages()

    def render(self, path: str, method: str) -> Reply:
        """The answer to a request that is no prediction.

        Raises:
            RequestError: 404, there is no such path or no such model.
        """
        page = self._pages.get(path.rstrip("/") or "/")
        if page is not None:
            if method in ("GET", "HEAD"):
                return page()
            return method_reply(method, "GET")
        parts = path.split("/")
        if path.startswith(("/v1/models/", "/v2/models/")):
            asked = parts[3].split(":")[0]
            if asked != self._settings.model_name:
                raise RequestError(
                    404,
                    f"Model with name {asked} does not exist; here is {self._settings.model_name}",
                )
        raise RequestError(404, f"no such path: {path}; see /openapi.json")

    def _name_pages(self) -> dict[str, Callable[[], Reply]]:
        name, version = self._settings.model_name, self._settings.model_version
        pages: dict[str, Callable[[], Reply]] = {
            "/": lambda: json_reply({"status": "alive"}),
            "/v1/models": lambda: json_reply({"models": [name]}),
            f"/v1/models/{name}": self._ready_v1,
            "/v2": self._server_metadata,
            "/v2/health/live": lambda: json_reply({"live": True}),
            "/v2/health/ready": lambda: json_reply({"ready": not self.draining}, self._status()),
            "/v2/models": lambda: json_reply({"models": [name]}),
            f"/v2/models/{name}": self._model_metadata,
            f"/v2/models/{name}/ready": self._ready_v1,
            "/metrics": self._render_metrics,
            "/openapi.json": self._openapi,
        }
        if version is not None:
            pages[f"/v2/models/{name}/versions/{version}"] = self._model_metadata
            pages[f"/v2/models/{name}/versions/{version}/ready"] = self._ready_v1
        return pages

    def _status(self) -> int:
        return 503 if self.draining else 200

    def _ready_v1(self) -> Reply:
        content = {"name": self._settings.model_name, "ready": not self.draining}
        return json_reply(content, self._status())

    def _server_metadata(self) -> Reply:
        return json_reply(
            {
                "name": "mlops-predictor",
                "version": "1",
                "extensions": ["binary_tensor_data"],
            }
        )

    def _model_metadata(self) -> Reply:
        classes = self._manifest.classes
        outputs = [{"name": v2.LABELS, "datatype": v2.datatype_of(classes), "shape": [-1]}]
        if classes is not None:
            outputs.append(
                {"name": v2.PROBABILITIES, "datatype": "FP64", "shape": [-1, len(classes)]}
            )
        version = self._settings.model_version
        return json_reply(
            {
                "name": self._settings.model_name,
                "versions": [] if version is None else [version],
                "platform": self._engine,
                "inputs": [
                    {"name": field.name, "datatype": _TENSOR_KINDS[field.kind], "shape": [-1, 1]}
                    for field in self._manifest.features
                ],
                "outputs": outputs,
                "properties": {"classes": msgspec.json.encode(classes).decode()},
            }
        )

    def _render_metrics(self) -> Reply:
        settings, unshipped_bytes = self._settings, None
        if settings.log_sink is not None and settings.log_dir is not None:
            from mlops_assets.serving.prediction_log.shipping import count_unshipped_bytes

            unshipped_bytes = count_unshipped_bytes(settings.log_dir)
        text = self._metrics.render(
            settings.model_name,
            settings.model_version or "unknown",
            unshipped_bytes=unshipped_bytes,
        )
        return metrics_reply(text)

    def _openapi(self) -> Reply:
        from mlops_assets.serving.predictor.openapi import build_openapi

        settings = self._settings
        return json_reply(
            build_openapi(
                settings.model_name, settings.model_version, self._manifest, settings.max_rows
            )
        )
