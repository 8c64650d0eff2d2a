from collections import OrderedDict

import pytest

from mlops_assets.modeling.importing import NotImportableError, import_object


@pytest.mark.parametrize("path", ["collections:OrderedDict", "collections.OrderedDict"])
def test_both_spellings_lead_to_the_object(path: str) -> None:
    assert import_object(path) is OrderedDict


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("no_such_package.module:name", "no module no_such_package"),
        ("collections:NoSuchThing", "module collections has no NoSuchThing"),
        ("mlops_assets_tests.modeling.broken_module:x", "failed: RuntimeError: on purpose"),
    ],
)
def test_a_path_that_leads_nowhere_is_explained(path: str, told: str) -> None:
    with pytest.raises(NotImportableError, match=told):
        import_object(path)
