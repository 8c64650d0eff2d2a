"""`python -m mlops_assets.cluster_jobs.dagster_migration`: Dagster's database gets this schema.

As `dagster instance migrate`, which also builds the run launcher and so needs a token of the API
server. A second time nothing changes. Which instance says `DAGSTER_HOME`.
"""

import os
import sys
from pathlib import Path

import dagster as dg
from dagster._core.instance.ref import InstanceRef

_NO_PODS = {"run_launcher": {"module": "dagster", "class": "DefaultRunLauncher"}}


def migrate(home: Path) -> None:
    """Migrate the storage of the instance whose `dagster.yaml` stands in a folder."""
    ref = InstanceRef.from_dir(str(home), overrides=_NO_PODS)
    with dg.DagsterInstance.from_ref(ref) as instance:
        instance.upgrade(_say)


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")


if __name__ == "__main__":
    migrate(Path(os.environ["DAGSTER_HOME"]))
