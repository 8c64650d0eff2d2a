"""The servers that ours is measured against: stock KServe, and as little as possible.

`python benchmarks/serving_servers.py KIND PACKAGE PORT`, KIND one of stock-sklearn, stock-onnx and
bare. Each serves the model `m` at `/v1/models/m:predict`.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

from mlops_assets.modeling.manifest import ModelManifest, read_manifest


def open_session(directory: Path) -> Any:
    """What an experienced user would set: one thread a run, since callers run side by side."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(directory / "model.onnx", options)


def run_stock(directory: Path, manifest: ModelManifest, port: int, *, onnx: bool) -> None:
    """KServe's own model server, with what its sklearnserver does: a sync predict."""
    from mlops_assets.kserve.sdk import import_kserve

    kserve = import_kserve()
    import numpy as np
    import pandas as pd

    names = [field.name for field in manifest.features]

    class Stock(kserve.Model):  # type: ignore[misc, name-defined]
        def load(self) -> bool:
            if onnx:
                self.session = open_session(directory)
            else:
                from mlops_assets.modeling.package import load_package

                self.pipeline = load_package(directory)
            self.ready = True
            return True

        def predict(self, payload: dict[str, Any], *_: object) -> dict[str, Any]:
            rows = payload["instances"]
            if onnx:
                feed = {"numbers": np.array(rows, dtype=np.float32)}
                return {"predictions": self.session.run(None, feed)[0].argmax(axis=1).tolist()}
            return {
                "predictions": self.pipeline.predict(pd.DataFrame(rows, columns=names)).tolist()
            }

    model = Stock("m")
    model.load()
    server = kserve.ModelServer(
        http_port=port, enable_grpc=False, workers=1, enable_latency_logging=False
    )
    server.start([model])


def run_bare(directory: Path, port: int) -> None:
    """granian, msgspec and onnxruntime with nothing between: the limit."""
    import msgspec
    import numpy as np
    import uvloop
    from granian.constants import HTTPModes, Interfaces
    from granian.server.embed import Server

    session = open_session(directory)
    decode = msgspec.json.Decoder(dict[str, list[list[float | None]]]).decode
    encode = msgspec.json.encode

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/v2/health/ready":
            body = b"{}"
        else:
            message = await receive()
            data = message["body"]
            while message.get("more_body"):
                message = await receive()
                data += message["body"]
            rows = np.array(decode(data)["instances"], dtype=np.float32)
            found = session.run(["probabilities"], {"numbers": rows})[0]
            labels = found.argmax(axis=1).tolist()
            body = encode({"predictions": labels, "probabilities": found.tolist()})
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    server = Server(
        app, port=port, interface=Interfaces.ASGINL, http=HTTPModes.http1, websockets=False,
        log_enabled=False,
    )  # fmt: skip
    uvloop.run(asyncio.wait_for(server.serve(), None))


def main() -> None:
    kind, directory, port = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    sys.argv = sys.argv[:1]
    if kind == "bare":
        run_bare(directory, port)
    else:
        run_stock(directory, read_manifest(directory), port, onnx=kind == "stock-onnx")


if __name__ == "__main__":
    main()
