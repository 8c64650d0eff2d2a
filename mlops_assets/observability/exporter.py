"""The platform's exporter: `GET /metrics` for Prometheus, `/health` and `/ready` for probes.

Each source is read in a thread of its own, again and again, and a scrape gets at once what was read
last: of many models that takes longer than Prometheus waits. A source that does not answer, or not
for long, is told (`mlops_source_up` 0) and its metrics are left out: an alert on their absence is
right, one on old values would not be.
"""

import argparse
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from mlops_assets.observability.facts import Facts, Sample, render, sample
from mlops_assets.serving.process import configure_log, die_with_parent

_LOG = logging.getLogger(__name__)
_PAUSE_SECONDS = 20.0  # between two readings of a source
_OLD_SECONDS = 300.0
_HUNG_SECONDS = 900.0  # longer than all retries of an object storage that is away

Source = Callable[[datetime], Iterator[Sample]]


@dataclass(frozen=True, slots=True)
class Reading:
    """What one source told.

    Attributes:
        ended_at: When, in seconds of the exporter's clock.
        samples: What it told; None: it did not answer.
    """

    ended_at: float
    samples: Sequence[Sample] | None


def sources_from(environment: Mapping[str, str]) -> dict[str, Source]:
    """The sources that an environment names, as for the code location; opened on first use."""
    home = Path(environment.get("MLOPS_HOME", ".mlops")).absolute()
    storage = (environment.get("MLOPS_STORAGE_URI") or str(home)).rstrip("/")

    def dagster(now: datetime) -> Iterator[Sample]:
        import dagster as dg

        from mlops_assets.observability.dagster_facts import read_dagster

        with dg.DagsterInstance.get() as instance:
            yield from read_dagster(instance, now)

    def rollouts(now: datetime) -> Iterator[Sample]:
        import dagster as dg

        from mlops_assets.observability.model_facts import read_rollouts
        from mlops_assets.resources.rollout import rollouts_from

        resource = rollouts_from(environment, home)
        backend = resource.create_resource(dg.build_init_resource_context())
        yield from read_rollouts(backend.store, now)

    def monitoring(now: datetime) -> Iterator[Sample]:
        from mlops_assets.data.documents import ModelDocuments
        from mlops_assets.monitoring.store import MonitoringStore
        from mlops_assets.observability.model_facts import read_retrainings, read_windows
        from mlops_assets.retraining.store import RetrainingStore

        documents = ModelDocuments(f"{storage}/monitoring")
        models = documents.models()
        yield from read_windows(MonitoringStore(documents), models, now)
        yield from read_retrainings(RetrainingStore(documents), models, now)

    def notifications(now: datetime) -> Iterator[Sample]:
        from mlops_assets.data.documents import ModelDocuments
        from mlops_assets.notify.ledger import Ledger
        from mlops_assets.observability.model_facts import read_notifications

        yield from read_notifications(Ledger(ModelDocuments(f"{storage}/notifications")), now)

    return {
        "dagster": dagster,
        "rollouts": rollouts,
        "monitoring": monitoring,
        "notifications": notifications,
    }


class Exporter:
    """Keeps the last reading of each source.

    Args:
        sources: What is read, by name.
        clock: Seconds that only grow.
    """

    def __init__(
        self, sources: Mapping[str, Source], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._sources, self._clock = sources, clock
        self._asked_at = dict.fromkeys(sources, clock())
        self._readings: dict[str, Reading | None] = dict.fromkeys(sources)

    def start(self) -> None:
        """Read all sources from now on, until the process ends."""
        for name in self._sources:
            threading.Thread(target=self._keep_reading, args=(name,), daemon=True).start()

    def _keep_reading(self, name: str) -> None:
        while True:
            self.read(name)
            time.sleep(_PAUSE_SECONDS)

    def read(self, name: str) -> None:
        """Read one source; a failure is a reading, too."""
        self._asked_at[name] = self._clock()
        samples = None
        try:
            samples = list(self._sources[name](datetime.now(UTC)))
        except Exception:  # the exporter goes on, and says which source is down
            _LOG.exception("%s cannot be read", name)
        self._readings[name] = Reading(self._clock(), samples)

    def text(self) -> str:
        """The metrics; nothing of sources that were not read yet."""
        facts, now = Facts(), self._clock()
        for name, reading in self._readings.items():
            if reading is None:
                continue
            age = now - reading.ended_at
            facts.samples.append(sample("mlops_source_age_seconds", age, source=name))
            facts.sources[name] = reading.samples is not None and age < _OLD_SECONDS
            if reading.samples is not None and age < _OLD_SECONDS:
                facts.samples += reading.samples
        return render(facts)

    def unread(self) -> list[str]:
        """The sources that were never read."""
        return [name for name, reading in self._readings.items() if reading is None]

    def hung(self) -> list[str]:
        """The sources that were asked too long ago: only a new process ends that."""
        now = self._clock()
        return [name for name, at in self._asked_at.items() if now - at >= _HUNG_SECONDS]


def build_server(exporter: Exporter, host: str, port: int) -> ThreadingHTTPServer:
    """A server that listens; `serve_forever` has it answer."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            """Nothing: scrapes are no news."""

        def do_GET(self) -> None:
            status, text = _answer(exporter, self.path.partition("?")[0])
            content = text.encode()
            self.send_response(status)
            self.send_header("content-type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    return ThreadingHTTPServer((host, port), Handler)


def _answer(exporter: Exporter, path: str) -> tuple[int, str]:
    """Status and text of a page."""
    if path == "/metrics":
        return 200, exporter.text()
    waits = {"/health": exporter.hung, "/ready": exporter.unread}.get(path)
    if waits is None:
        return 404, "see /metrics\n"
    found = waits()
    return (503, f"waits for {', '.join(found)}\n") if found else (200, "ok\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """`python -m mlops_assets.observability.exporter`."""
    parser = argparse.ArgumentParser(prog="mlops-assets exporter", allow_abbrev=False)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at")
    parser.add_argument("--port", type=int, default=9108, help="port to listen at")
    parser.add_argument("--parent-pid", type=int, help="die with this process")
    found = parser.parse_args(arguments)
    configure_log()
    if found.parent_pid is not None:
        die_with_parent(found.parent_pid)
    exporter = Exporter(sources_from(os.environ))
    exporter.start()
    with build_server(exporter, found.host, found.port) as server:
        _LOG.info("metrics at http://%s:%d/metrics", found.host, server.server_address[1])
        server.serve_forever()


if __name__ == "__main__":
    main()
