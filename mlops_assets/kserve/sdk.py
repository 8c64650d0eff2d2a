"""The one door to the KServe SDK."""

import importlib
import sys
from types import ModuleType


def import_kserve() -> ModuleType:
    """The module `kserve`, imported without letting it read our command line.

    `kserve.model_server` parses `sys.argv` on import and exits the process on options that it takes
    for its own (`dagster job execute --config` is one). The import costs 4 s and 200 MB: call this
    where the SDK is used, never at module level.
    """
    arguments, sys.argv = sys.argv, sys.argv[:1]
    try:
        return importlib.import_module("kserve")
    finally:
        sys.argv = arguments
