"""A module that cannot be imported, for `test_importing.py`."""

raise RuntimeError("on purpose")
