"""Run as a process by `test_stock_kserve.py`: a stock `kserve.ModelServer` with the toy model.

What it answers is what KServe's scikit-learn runtime does: a model whose `predict` is a plain
function on the event loop, and whose errors become `InferenceError`. `ModelServer` itself binds
every address of the machine, so its REST server is given a socket of loopback here.
Prints the port, then serves until it is told to stop.
"""

import socket
import sys
from typing import Any

import numpy as np

from mlops_assets.kserve.sdk import import_kserve


def fitted_model() -> Any:
    """The classifier of `packages.write_binary_model`, in scikit-learn."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression()
    model.classes_ = np.array([0, 1])
    model.coef_ = np.array([[1.0, -2.0, 0.5]])
    model.intercept_ = np.array([0.0])
    return model


def main() -> None:
    kserve = import_kserve()
    from kserve.errors import InferenceError
    from kserve.model_repository import ModelRepository
    from kserve.protocol.dataplane import DataPlane
    from kserve.protocol.model_repository_extension import ModelRepositoryExtension
    from kserve.protocol.rest.server import RESTServer
    from kserve.utils.utils import get_predict_input, get_predict_response

    fitted = fitted_model()

    class Stock(kserve.Model):  # type: ignore[name-defined,misc]
        """A model as the documentation of KServe writes one."""

        def load(self) -> bool:
            self.ready = True
            return True

        def predict(self, payload: Any, headers: Any = None) -> Any:  # noqa: ARG002  KServe's
            try:
                found = fitted.predict(get_predict_input(payload))
                return get_predict_response(payload, found, self.name)
            except Exception as error:
                raise InferenceError(str(error)) from error

    model = Stock("toy")
    model.load()
    repository = ModelRepository()
    repository.update(model)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(128)
    port = listening.getsockname()[1]
    extension = ModelRepositoryExtension(repository)
    server = RESTServer("kserve.model_server:app", DataPlane(repository), extension, port)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.run(sockets=[listening])


if __name__ == "__main__":
    main()
