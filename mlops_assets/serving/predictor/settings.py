"""Settings of one predictor process, read once at start."""

from dataclasses import dataclass
from pathlib import Path

from mlops_assets.serving.protocol.patience import BODY_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictorSettings:
    """What a predictor serves, where it listens and what it takes.

    Attributes:
        model_name: Name under which clients ask for the model.
        model_dir: Directory of the packaged model.
        model_version: Version that every answer names; None when it is unknown.
        model_digest: Digest that the package's manifest must have; None takes any.
        trusted_types: Types of the user's own that scikit-learn models may hold.
        require_signed: File or folder of public keys; refuse a model that none of them signed.
            None takes any.
        host: Address to listen at.
        port: Port to listen at.
        socket_path: Unix socket to listen at instead of host and port.
        workers: Processes that share the port; each loads the model.
        parent_pid: Die with this process; None lives on its own.
        revision: Name of the revision in the prediction log; by default `v<model_version>`.
        log_dir: Folder for the segments of the prediction log; None logs nothing.
        log_leave_out: Features that the prediction log leaves out.
        log_hash: Features that it holds hashed.
        log_key: File with the secret for that.
        log_sink: Where the sink takes events; None keeps segments where they are.
        log_sink_token_file: File with the sink's token; None: `MLOPS_SINK_TOKEN`, if it is set.
        log_namespace: Namespace that shipped events name.
        max_body_bytes: Longest request body. JSON of this length decodes in about 40 ms, for which
            other callers of the same worker wait.
        max_body_seconds: Longest wait for a whole request body; then 408.
        max_rows: Most rows in one request.
        max_waiting: Requests with slow batches that may wait for a thread; more get 503.
        max_wait_seconds: Longest wait for a thread; then 503.
        drain_seconds: Longest wait for requests in flight after SIGTERM.
    """

    model_name: str
    model_dir: Path
    model_version: str | None = None
    model_digest: str | None = None
    trusted_types: tuple[str, ...] = ()
    require_signed: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    socket_path: Path | None = None
    workers: int = 1
    parent_pid: int | None = None
    revision: str | None = None
    log_dir: Path | None = None
    log_leave_out: tuple[str, ...] = ()
    log_hash: tuple[str, ...] = ()
    log_key: Path | None = None
    log_sink: str | None = None
    log_sink_token_file: Path | None = None
    log_namespace: str = "default"
    max_body_bytes: int = 8_000_000
    max_body_seconds: float = BODY_SECONDS
    max_rows: int = 20_000
    max_waiting: int = 32
    max_wait_seconds: float = 10.0
    drain_seconds: float = 20.0
