"""The servers that ours is measured against: stock KServe, and as little as possible.

`python benchmarks/serving_servers.py KIND PACKAGE PORT`, KIND one of stock-sklearn, stock-onnx,
bare (through granian's own interface, as ours) and bare-asgi. Each serves the model `m` at
`/v1/models/m:predict`.
"""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlops_assets.modeling.manifest import ModelManifest, read_manifest


def open_session(directory: Path) -> Any:
    """What an experienced user would set: one thread a run, since callers run side by side."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(directory / "model.onnx", options)


def build_feed(manifest: ModelManifest) -> Callable[[list[list[Any]]], dict[str, Any]]:
    """Rows as the graph's inputs, without a look at them."""
    import numpy as np

    at = {field.name: position for position, field in enumerate(manifest.features)}
    inputs = [(i.name, i.element, [at[name] for name in i.features]) for i in manifest.inputs]
    if len(inputs) == 1:
        name = inputs[0][0]
        return lambda rows: {name: np.array(rows, dtype=np.float32)}

    def feed(rows: list[list[Any]]) -> dict[str, Any]:
        return {
            name: np.array([[row[p] for p in places] for row in rows], dtype=np.float32)
            if element != "string"
            else np.array([[row[p] or "" for p in places] for row in rows], dtype=object)
            for name, element, places in inputs
        }

    return feed


def run_stock(directory: Path, manifest: ModelManifest, port: int, *, onnx: bool) -> None:
    """KServe's own model server, with what its sklearnserver does: a sync predict."""
    from mlops_assets.kserve.sdk import import_kserve

    kserve = import_kserve()
    import pandas as pd

    names = [field.name for field in manifest.features]
    feed = build_feed(manifest)

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
                found = self.session.run(["probabilities"], feed(rows))[0]
                return {"predictions": found.argmax(axis=1).tolist()}
            return {
                "predictions": self.pipeline.predict(pd.DataFrame(rows, columns=names)).tolist()
            }

    model = Stock("m")
    model.load()
    server = kserve.ModelServer(
        http_port=port, enable_grpc=False, workers=1, enable_latency_logging=False
    )
    server.start([model])


def run_bare(directory: Path, manifest: ModelManifest, port: int, *, rsgi: bool) -> None:
    """granian, msgspec and onnxruntime with nothing between: the limit."""
    import msgspec
    import uvloop
    from granian.constants import HTTPModes, Interfaces
    from granian.server.embed import Server

    session = open_session(directory)
    decode = msgspec.json.Decoder(dict[str, list[list[float | str | None]]]).decode
    encode = msgspec.json.encode
    feed = build_feed(manifest)

    def predict(data: bytes) -> bytes:
        found = session.run(["probabilities"], feed(decode(data)["instances"]))[0]
        labels = found.argmax(axis=1).tolist()
        return encode({"predictions": labels, "probabilities": found.tolist()})

    async def through_asgi(_: Any, receive: Any, send: Any) -> None:
        message = await receive()
        data = message["body"]
        while message.get("more_body"):
            message = await receive()
            data += message["body"]
        body = predict(data) if data else b"{}"
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def through_rsgi(_: Any, protocol: Any) -> None:
        data = await protocol()
        body = predict(data) if data else b"{}"
        protocol.response_bytes(200, [("content-type", "application/json")], body)

    server = Server(
        through_rsgi if rsgi else through_asgi, port=port, http=HTTPModes.http1, websockets=False,
        interface=Interfaces.RSGI if rsgi else Interfaces.ASGINL, log_enabled=False,
    )  # fmt: skip
    uvloop.run(asyncio.wait_for(server.serve(), None))


def main() -> None:
    kind, directory, port = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    sys.argv = sys.argv[:1]
    manifest = read_manifest(directory)
    if kind.startswith("bare"):
        run_bare(directory, manifest, port, rsgi=kind == "bare")
    else:
        run_stock(directory, manifest, port, onnx=kind == "stock-onnx")


if __name__ == "__main__":
    main()
