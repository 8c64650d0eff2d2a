"""Settings of the sink, read once at start."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkSettings:
    """Where a sink keeps what it takes, and what it takes.

    Attributes:
        home: Segments stand under `<home>/serving/segments` until they are in the tables.
        lake: Root of the tables, a folder or a URL of object storage; None: `<home>/lake`.
        host: Address to listen at.
        port: Port to listen at.
        token: What events and ground truth must come with; None takes them from anybody.
        namespaces: Namespaces whose events are taken; empty takes all. Tables are named by service
            alone, so two services of one name must not share a lake.
        parent_pid: Die with this process; None lives on its own.
        max_body_bytes: Longest request body.
        drain_seconds: Longest wait at SIGTERM until all is in the tables.
    """

    home: Path
    lake: str | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    token: str | None = None
    namespaces: tuple[str, ...] = ()
    parent_pid: int | None = None
    max_body_bytes: int = 16_000_000
    drain_seconds: float = 20.0
