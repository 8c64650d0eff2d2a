"""The command line: `mlops-assets`."""

from mlops_assets.cli.app import main

__all__ = ["main"]
