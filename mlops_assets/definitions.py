"""The code location: everything that Dagster loads.

`defs/` holds one folder per model; a folder with a `defs.yaml` is all that a new model needs.
"""

import os
import warnings
from pathlib import Path

import dagster as dg

from mlops_assets.resources.environment import default_resources, executor

# OpenMP threads that spin while they wait slow each other down: a fit of 0.3 s takes up to 8 s on
# busy cores. Read when scikit-learn is imported, which is in the steps.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Dagster's own code raises these about features that it marks beta.
for _category in (dg.BetaWarning, dg.PreviewWarning, dg.SupersessionWarning):
    warnings.filterwarnings("ignore", category=_category)


@dg.definitions
def defs() -> dg.Definitions:
    """Every model under `defs/`, with the resources and the executor of this environment."""
    return dg.Definitions.merge(
        dg.load_from_defs_folder(path_within_project=Path(__file__).parent),
        dg.Definitions(resources=default_resources(), executor=executor(os.environ)),
    )
