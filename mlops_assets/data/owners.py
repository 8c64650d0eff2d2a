"""Who wrote something unfinished, and whether that process is still at it."""

import os
import socket
from datetime import UTC, datetime, timedelta

import psutil
from pydantic import BaseModel, ConfigDict

UNKNOWN_HOST_PATIENCE = timedelta(days=1)
"""A process of another host cannot be looked up; after this long it counts as gone."""

_START_TOLERANCE_SECONDS = 60  # psutil derives it from the clock, which may have been set since


class Owner(BaseModel):
    """A process, in words that another process of this or another host can judge."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    pid: int
    started: float
    claimed_at: datetime

    @classmethod
    def this_process(cls) -> "Owner":
        """The process that asks, claiming something now."""
        process = psutil.Process(os.getpid())
        now = datetime.now(UTC)
        return cls(
            host=socket.gethostname(),
            pid=process.pid,
            started=process.create_time(),
            claimed_at=now,
        )

    def is_gone(self) -> bool:
        """Whether the process has ended; unsure counts as not, for a day at most."""
        if self.host != socket.gethostname():
            return datetime.now(UTC) > self.claimed_at + UNKNOWN_HOST_PATIENCE
        try:
            started = psutil.Process(self.pid).create_time()
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:
            return False
        return abs(started - self.started) > _START_TOLERANCE_SECONDS
