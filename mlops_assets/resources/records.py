"""How assets hand each other what they made: small records, one JSON file per asset.

Data itself lies in the lake, models in MLflow; a record says where, and which content. So a step
may run in any process or pod, and a record is read by people as well.
"""

import json
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import BaseModel, ValidationError

from mlops_assets.data.filesystems import open_filesystem
from mlops_assets.errors import MlopsError
from mlops_assets.resources.fence import require_live_run
from mlops_assets.whole_files import replace_file


class RecordIOManager(dg.ConfigurableIOManager):
    """Keeps an asset's newest record under `<root>/<model>/<asset>.json`.

    The type annotation of the asset's output and of its readers' parameters is the record's class,
    a pydantic model. A partitioned asset has one record, of the whole after its newest partition.
    """

    root: str

    def handle_output(self, context: dg.OutputContext, obj: BaseModel) -> None:
        """Writes aside, then switches, so that a reader sees the former record or this one.

        Raises:
            MlopsError: the step's run is over, so nobody is to read what it made.
        """
        require_live_run(context)
        content = obj.model_dump_json(indent=1).encode()
        address = self._address(context.asset_key)
        if "://" in address:  # an object store's put is all or nothing
            filesystem, path = open_filesystem(address)
            filesystem.pipe_file(path, content)
            return
        replace_file(Path(address), content)

    def load_input(self, context: dg.InputContext) -> Any:
        """The newest record of the asset that the parameter names.

        Raises:
            MlopsError: the asset was never materialized, or its record is of another version.
        """
        address = self._address(context.asset_key)
        name = context.asset_key.to_user_string()
        record_type = context.dagster_type.typing_type
        try:
            filesystem, path = open_filesystem(address)
            return record_type.model_validate_json(filesystem.cat_file(path))
        except FileNotFoundError as error:
            raise MlopsError(f"{name} was never materialized: materialize it first") from error
        except (ValidationError, json.JSONDecodeError) as error:
            raise MlopsError(
                f"{address} is no {record_type.__name__} of this version: materialize {name} again"
            ) from error

    def _address(self, key: dg.AssetKey) -> str:
        model, asset = key.path
        return f"{self.root.rstrip('/')}/{model}/{asset}.json"
