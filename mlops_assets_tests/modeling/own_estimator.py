"""An estimator of a user's own, for the tests of packaging."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def make_own_classifier() -> type:
    """The class below; scikit-learn is imported only when it is asked for."""
    from sklearn.base import BaseEstimator, ClassifierMixin

    class OwnClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
        """Answers the share of each class."""

        def fit(self, x: Any, y: NDArray[Any]) -> "OwnClassifier":  # noqa: ARG002
            self.classes_, counts = np.unique(y, return_counts=True)
            self.shares_ = counts / counts.sum()
            return self

        def predict_proba(self, x: Any) -> NDArray[np.float64]:
            return np.tile(self.shares_, (len(x), 1))

        def predict(self, x: Any) -> NDArray[Any]:
            best: NDArray[Any] = self.classes_[self.predict_proba(x).argmax(axis=1)]
            return best

    OwnClassifier.__qualname__ = "OwnClassifier"
    return OwnClassifier


def __getattr__(name: str) -> type:
    if name != "OwnClassifier":
        raise AttributeError(name)
    globals()[name] = make_own_classifier()
    return globals()[name]  # type: ignore[no-any-return]
