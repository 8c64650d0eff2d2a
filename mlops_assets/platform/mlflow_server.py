"""The MLflow server in one process.

`mlflow server` imports MLflow twice, in itself and in its only worker, one after the other: 15 s
and 480 MB until it answers. The application in this process takes 7 s and 275 MB (measured on two
cores, MLflow 3.17). Job execution is off by the environment (`environment.py`).
"""

import os
import socket
import sys
from pathlib import Path

from mlops_assets.modeling.mlflow_database import ensure_database
from mlops_assets.platform.environment import PAGES_NICENESS
from mlops_assets.platform.home import Home

_PRIVATE = ("10.*", *(f"172.{n}.*" for n in range(16, 32)), "192.168.*", "fc00:*", "fd00:*")


def main() -> None:
    """`python -m mlops_assets.platform.mlflow_server HOME HOST PORT`."""
    root, host, port = sys.argv[1:]
    home = Home(Path(root))
    ensure_database(home.mlflow_database)  # first: a training may wait for it
    os.nice(PAGES_NICENESS)
    serve(home, host, int(port))


def serve(home: Home, host: str, port: int) -> None:
    """Answers until a signal ends it."""
    if host not in ("127.0.0.1", "::1", "localhost"):
        _allow_names(host)  # before MLflow reads it
    import uvicorn
    from mlflow.server import constants

    os.environ.update(
        {
            constants.BACKEND_STORE_URI_ENV_VAR: f"sqlite:///{home.mlflow_database}",
            constants.REGISTRY_STORE_URI_ENV_VAR: f"sqlite:///{home.mlflow_database}",
            constants.ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
            constants.ARTIFACTS_DESTINATION_ENV_VAR: str(home.mlflow_artifacts),
            constants.SERVE_ARTIFACTS_ENV_VAR: "true",
        }
    )
    from mlflow.server.fastapi_app import app

    uvicorn.run(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=2)


def _allow_names(host: str) -> None:
    """Lets this machine's names through, beside those that MLflow answers to by itself: loopback
    and private addresses, which it forgets once it is told of others."""
    names = ["localhost", "127.0.0.1", *sorted({host, socket.gethostname()})]
    allowed = [*names, *(f"{name}:*" for name in names), *_PRIVATE]
    os.environ.setdefault("MLFLOW_SERVER_ALLOWED_HOSTS", ",".join(allowed))


if __name__ == "__main__":
    main()
