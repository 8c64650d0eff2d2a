"""Jobs of a cluster that are no runs: what it needs once, and every night (k8s/components/)."""
