"""One YAML document declares a model; Dagster keeps its whole life as assets."""
