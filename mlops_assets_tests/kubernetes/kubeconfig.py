"""A kubeconfig for the emulated server."""

import json
from pathlib import Path


def write_kubeconfig(
    path: Path, url: str, namespace: str = "default", user: str = "tester"
) -> Path:
    """Write a kubeconfig (JSON is YAML too) with one context, `emulated`; the token is the user."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "emulated",
        "clusters": [{"name": "emulated", "cluster": {"server": url}}],
        "users": [{"name": "tester", "user": {"token": user}}],
        "contexts": [
            {
                "name": "emulated",
                "context": {"cluster": "emulated", "user": "tester", "namespace": namespace},
            }
        ],
    }
    path.write_text(json.dumps(content))
    return path
