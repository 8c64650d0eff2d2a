"""The MLflow server in one process.

`mlflow server` imports MLflow twice, in itself and in its only worker, one after the other: 15 s
and 480 MB until it answers. The application in this process takes 7 s and 275 MB (measured on two
cores, MLflow 3.17). Job execution is off by the environment (`environment.py`).
"""

import os
import sys
from pathlib import Path

from mlops_assets.platform.environment import PAGES_NICENESS
from mlops_assets.platform.home import Home
from mlops_assets.platform.mlflow_database import ensure_database


def main() -> None:
    """`python -m mlops_assets.platform.mlflow_server HOME HOST PORT`."""
    root, host, port = sys.argv[1:]
    home = Home(Path(root))
    ensure_database(home)  # first: a training may wait for it
    os.nice(PAGES_NICENESS)
    serve(home, host, int(port))


def serve(home: Home, host: str, port: int) -> None:
    """Answers until a signal ends it."""
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


if __name__ == "__main__":
    main()
