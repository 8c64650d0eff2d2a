"""The ports that the platform answers at: checked before anything is started."""

import socket

from mlops_assets.errors import PlatformError
from mlops_assets.platform.environment import Addresses
from mlops_assets.serving.process import require_free_port


def free_addresses(wanted: Addresses) -> Addresses:
    """The addresses, each port checked, and chosen where 0 was asked for.

    Raises:
        PlatformError: a port is busy; names it, its process and the option that changes it.
    """
    chosen: dict[str, int] = {}
    for name in ("dagster_port", "mlflow_port", "gateway_port"):
        port = getattr(wanted, name)
        option = f"--{name.replace('_', '-')}"
        try:
            require_free_port(wanted.host, port)
        except PlatformError as error:
            raise PlatformError(
                f"{error}. Stop what is there, or choose another with {option} or --host"
            ) from error
        while port in (0, *chosen.values()) and not getattr(wanted, name):
            port = any_port(wanted.host)  # until another one: the kernel may name one twice
        chosen[name] = port
    if len(set(chosen.values())) < len(chosen):
        raise PlatformError(f"the ports must differ, found {sorted(chosen.values())}")
    return Addresses(wanted.host, **chosen)


def any_port(host: str) -> int:
    """A port that is free at this moment."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
