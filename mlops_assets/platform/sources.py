"""Where each model's rows come from, as its document says once its templates are filled in."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.errors import SourceError
from mlops_assets.spec import ModelSpec

if TYPE_CHECKING:
    import dagster as dg


@dataclass(frozen=True, slots=True)
class DocumentSource:
    """A model's document and the folder that its paths start from."""

    spec: ModelSpec
    folder: Path

    def fingerprint(self) -> str | None:
        """What tells cheaply whether the source changed; None when only reading it can.

        A source that cannot be reached is read as well: the dataset then fails, and says why.
        """
        from mlops_assets.data.sources import source_fingerprint

        try:
            return source_fingerprint(self.spec.source, base=self.folder)
        except SourceError:
            return None


def find_sources(repository: "dg.RepositoryDefinition") -> dict[str, DocumentSource]:
    """The sources of a repository's models, by model."""
    from mlops_assets.component import ModelPipeline

    tree = repository.get_component_tree()  # type: ignore[no-untyped-call]
    if tree is None:  # definitions without components
        return {}
    found = {}
    for location, declaration in tree._component_decl_tree().items():
        if declaration.component_type is not ModelPipeline:
            continue
        path = Path(getattr(location, "file_path", tree.defs_module_path))
        component = tree.load_component(location, expected_type=ModelPipeline)
        folder = path if path.is_dir() else path.parent
        found[component.spec.name] = DocumentSource(component.spec, folder)
    return found
