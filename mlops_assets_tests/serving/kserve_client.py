"""Run as a process by `test_kserve_client.py`: KServe's own client against our predictor.

A process of its own, since the SDK takes 4 s and 200 MB. Prints one JSON object.
"""

import asyncio
import json
import sys
from typing import Any

import numpy as np

from mlops_assets.kserve.sdk import import_kserve


async def ask(url: str) -> dict[str, Any]:
    kserve = import_kserve()
    from kserve.protocol.infer_type import RequestedOutput

    found: dict[str, Any] = {}
    for protocol in ("v1", "v2"):
        config = kserve.RESTConfig(protocol=protocol)
        client = kserve.InferenceRESTClient(config=config)
        if protocol == "v1":
            rows = {"instances": [[3.0, -1.0, 0.5], [-9.0, -1.0, 0.5]]}
            answer = await client.infer(url, rows, model_name="toy")
            found["v1"] = answer["predictions"]
        else:
            for binary in (False, True):
                given = kserve.InferInput("x", [2, 3], "FP32")
                matrix = np.array([[3.0, -1.0, 0.5], [-9.0, -1.0, 0.5]], dtype=np.float32)
                given.set_data_from_numpy(matrix, binary_data=binary)
                outputs = [
                    RequestedOutput(name, parameters={"binary_data": binary})
                    for name in ("predict", "predict_proba")
                ]
                request = kserve.InferRequest(
                    "toy", [given], request_id="7", request_outputs=outputs
                )
                answer = await client.infer(url, request, model_name="toy")
                tensors = {output.name: output.as_numpy() for output in answer.outputs}
                found[f"v2_{binary}"] = {
                    "id": answer.id,
                    "model": answer.model_name,  # 0.21 reads no model_version
                    "labels": tensors["predict"].tolist(),
                    "shape": list(tensors["predict_proba"].shape),
                }
            found["server_live"] = await client.is_server_live(url)
            found["server_ready"] = await client.is_server_ready(url)
        found[f"model_ready_{protocol}"] = await client.is_model_ready(url, "toy")
        await client.close()
    return found


if __name__ == "__main__":
    url, sys.argv = sys.argv[1], sys.argv[:1]
    print(json.dumps(asyncio.run(ask(url))))
