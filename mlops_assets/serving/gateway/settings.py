"""Settings of the gateway, read once at start."""

from dataclasses import dataclass
from pathlib import Path

from mlops_assets.serving.protocol.patience import BODY_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """Where a gateway keeps its state and listens.

    Attributes:
        home: MLOPS_HOME.
        host: Address to listen at.
        port: Port to listen at.
        parent_pid: Die with this process; None lives on its own.
        sink_token: Bearer token that ground truth must come with; None takes it from anybody.
        poll_seconds: How often the folder of manifests is read.
        max_body_bytes: Longest request body.
        max_body_seconds: Longest wait for a whole request body; then 408.
        request_timeout_seconds: Longest wait for a revision's answer; then 504.
        hold_seconds: How long a request waits for a revision that is just starting; then 503.
        drain_seconds: Longest wait for the requests of a revision that is being stopped.
        liveness_seconds: How often a ready revision is asked whether it lives; it is replaced when
            it does not answer three times in a row.
    """

    home: Path
    host: str = "127.0.0.1"
    port: int = 8080
    parent_pid: int | None = None
    sink_token: str | None = None
    poll_seconds: float = 0.2
    max_body_bytes: int = 8_000_000
    max_body_seconds: float = BODY_SECONDS
    request_timeout_seconds: float = 60.0
    hold_seconds: float = 5.0
    drain_seconds: float = 20.0
    liveness_seconds: float = 5.0
