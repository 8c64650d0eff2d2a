"""Pictures of a candidate on the rows that judge it: PNG bytes by file name."""

from mlops_assets.modeling.contestants import Contestant
from mlops_assets.modeling.features import BuiltFrame
from mlops_assets.spec import ModelSpec


def draw_plots(spec: ModelSpec, built: BuiltFrame, candidate: Contestant) -> dict[str, bytes]:
    """ROC, precision and recall, calibration, confusion, residuals and permutation importance, as
    far as they go with the task: `{"roc.png": b"...", ...}`."""
    raise NotImplementedError
