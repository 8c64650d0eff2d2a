"""MLOps as assets."""
