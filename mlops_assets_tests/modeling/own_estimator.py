"""Estimators of a user's own, for the tests of packaging."""

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


def make_not_a_number() -> type:
    """An estimator whose probabilities are no numbers."""

    class NotANumber(make_own_classifier()):  # type: ignore[misc]
        """Answers NaN for each row."""

        def predict_proba(self, x: Any) -> NDArray[np.float64]:
            return np.full((len(x), len(self.classes_)), np.nan)

    NotANumber.__qualname__ = "NotANumber"
    return NotANumber


_MAKERS = {"OwnClassifier": make_own_classifier, "NotANumber": make_not_a_number}


def __getattr__(name: str) -> type:
    if name not in _MAKERS:
        raise AttributeError(name)
    globals()[name] = _MAKERS[name]()
    return globals()[name]  # type: ignore[no-any-return]
