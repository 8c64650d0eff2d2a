"""The model documents of a code location, as a sensor finds them in its definitions."""

import json
from typing import Any
from weakref import WeakKeyDictionary

import dagster as dg

from mlops_assets.assets.serving import DOCUMENT
from mlops_assets.spec import ModelSpec

_READ: "WeakKeyDictionary[dg.RepositoryDefinition, tuple[ModelSpec, ...]]" = WeakKeyDictionary()


def documents_of(repository: dg.RepositoryDefinition | None) -> tuple[ModelSpec, ...]:
    """The documents, by name. Read once for each loaded code location: definitions never change."""
    if repository is None:
        return ()
    if repository not in _READ:
        graph = repository.asset_graph
        nodes = [graph.get(key) for key in sorted(graph.get_all_asset_keys())]
        documents: list[Any] = [n.metadata[DOCUMENT] for n in nodes if DOCUMENT in n.metadata]
        _READ[repository] = tuple(
            ModelSpec.model_validate_json(json.dumps(document.value)) for document in documents
        )
    return _READ[repository]
