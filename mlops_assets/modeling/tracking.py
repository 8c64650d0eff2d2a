"""MLflow as this platform uses it: one run per training, and the registry of versions.

The only callers of MLflow's client stand here: `mlflow_connection.py`, `mlflow_runs.py` and
`mlflow_registry.py`.
"""

from mlops_assets.modeling.mlflow_registry import MlflowRegistry
from mlops_assets.modeling.mlflow_runs import MlflowRuns


class Tracking(MlflowRuns, MlflowRegistry):
    """Runs and registered versions of one tracking server."""
