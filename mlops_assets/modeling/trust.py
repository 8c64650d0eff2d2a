"""Which types skops may construct when it reads a model.

skops names every type that a file would construct; those of its own safe list aside, we allow only
what stands here or in the document. Whole libraries are not allowed, since scikit-learn and NumPy
hold functions that read files and fetch data. A file could still hold arrays that make compiled
code read out of bounds, which no list of types can prevent: so a file is opened only after its
SHA-256 was found in the manifest.
"""

from collections.abc import Iterable, Sequence

_TYPES = {
    "numpy.asarray",  # rounds to 32 bits (`pipeline.py`); runs no code but its argument's
    "numpy.dtype",
}
_PREFIXES = (  # modules of scikit-learn that hold fitted state and do no I/O
    "sklearn._loss.",
    "sklearn.calibration.",
    "sklearn.ensemble._hist_gradient_boosting.",
    "sklearn.gaussian_process.",
    "sklearn.linear_model.",
    "sklearn.metrics._dist_metrics.",
    "sklearn.neighbors.",
    "sklearn.neural_network.",
    "sklearn.svm.",
    "sklearn.tree._tree.",
)


def refused_types(needed: Iterable[str], allowed: Sequence[str] = ()) -> list[str]:
    """The needed types that are neither ours to allow nor in the document's `trusted_types`.

    >>> refused_types(["numpy.dtype", "sklearn.datasets.load_files", "os.system"])
    ['os.system', 'sklearn.datasets.load_files']
    """
    return sorted(
        name
        for name in needed
        if name not in _TYPES and name not in allowed and not name.startswith(_PREFIXES)
    )
