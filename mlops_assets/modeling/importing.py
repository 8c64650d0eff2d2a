"""Objects that a document names by import path: feature functions and estimators."""

import importlib
from typing import Any


class NotImportableError(LookupError):
    """An import path leads nowhere; the message says which part of it."""


def import_object(path: str) -> Any:
    """The object at `package.module:name` or `package.module.name`.

    Raises:
        NotImportableError: no such module or name, or the module fails while it is imported.
    """
    module_name, _, name = path.replace(":", ".").rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        where = "" if missing == module_name else f", which {module_name} imports"
        raise NotImportableError(f"there is no module {missing}{where}") from error
    except Exception as error:  # a user's module may do anything while it is imported
        raise NotImportableError(
            f"importing {module_name} failed: {type(error).__name__}: {error}"
        ) from error
    try:
        return getattr(module, name)
    except AttributeError as error:
        raise NotImportableError(f"module {module_name} has no {name}") from error
