"""How assets hand each other what they made: small records, one JSON file per asset.

Data itself lies in the lake, models in MLflow; a record says where, and which content. So a step
may run in any process or pod, and a record is read by people as well.
"""

import json
import os
from typing import Any

import dagster as dg
from pydantic import BaseModel, ValidationError
from upath import UPath

from mlops_assets.errors import MlopsError


class RecordIOManager(dg.ConfigurableIOManager):
    """Keeps an asset's newest record under `<root>/<model>/<asset>.json`.

    The type annotation of the asset's output and of its readers' parameters is the record's class,
    a pydantic model. A partitioned asset has one record, of the whole after its newest partition.
    """

    root: str

    def handle_output(self, context: dg.OutputContext, obj: BaseModel) -> None:
        """Writes aside, then switches, so that a reader sees the former record or this one."""
        path = self._path(context.asset_key)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = obj.model_dump_json(indent=1)
        if path.protocol in ("", "file"):
            aside = path.with_name(f".{path.name}.{os.getpid()}")
            aside.write_text(text)
            aside.replace(path)
        else:  # an object store's put is all or nothing
            path.write_text(text)

    def load_input(self, context: dg.InputContext) -> Any:
        """The newest record of the asset that the parameter names.

        Raises:
            MlopsError: the asset was never materialized, or its record is of another version.
        """
        path = self._path(context.asset_key)
        name = context.asset_key.to_user_string()
        record_type = context.dagster_type.typing_type
        try:
            return record_type.model_validate_json(path.read_text())
        except FileNotFoundError as error:
            raise MlopsError(f"{name} was never materialized: materialize it first") from error
        except (ValidationError, json.JSONDecodeError) as error:
            raise MlopsError(
                f"{path} is no {record_type.__name__} of this version: materialize {name} again"
            ) from error

    def _path(self, key: dg.AssetKey) -> UPath:
        model, asset = key.path
        return UPath(self.root) / model / f"{asset}.json"
