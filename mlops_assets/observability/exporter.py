"""The platform's exporter: `GET /metrics` for Prometheus, `GET /health` for probes.

Every scrape within a few seconds gets the same text, so that scrapes cost the database nothing
more. A source that does not answer is told (`mlops_source_up` 0) and its metrics are left out: an
alert on their absence is right, one on old values would not be.
"""

import argparse
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from mlops_assets.observability.facts import Facts, Sample, render
from mlops_assets.serving.process import configure_log, die_with_parent

_LOG = logging.getLogger(__name__)
_FRESH_SECONDS = 10.0

Source = Callable[[datetime], Iterator[Sample]]


def gather(sources: Mapping[str, Source], now: datetime) -> Facts:
    """What all sources tell; one that fails takes no other with it."""
    facts = Facts()
    for name, read in sources.items():
        try:
            found = list(read(now))
        except Exception:  # the exporter goes on, and says which source is down
            _LOG.exception("%s cannot be read", name)
            facts.sources[name] = False
        else:
            facts.sources[name] = True
            facts.samples += found
    return facts


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
    """Gathers at most once in a few seconds, whoever asks."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = sources
        self._lock = threading.Lock()
        self._text, self._read_at = "", -_FRESH_SECONDS

    def text(self) -> str:
        """The metrics."""
        with self._lock:
            if time.monotonic() >= self._read_at + _FRESH_SECONDS:
                self._text = render(gather(self._sources, datetime.now(UTC)))
                self._read_at = time.monotonic()
            return self._text


def build_server(exporter: Exporter, host: str, port: int) -> ThreadingHTTPServer:
    """A server that listens; `serve_forever` has it answer."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            """Nothing: scrapes are no news."""

        def do_GET(self) -> None:
            pages = {"/metrics": exporter.text, "/health": lambda: "ok\n"}
            page: Callable[[], str] | None = pages.get(self.path.partition("?")[0])
            content = (page() if page else "see /metrics\n").encode()
            self.send_response(200 if page else 404)
            self.send_header("content-type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    return ThreadingHTTPServer((host, port), Handler)


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
    with build_server(exporter, found.host, found.port) as server:
        _LOG.info("metrics at http://%s:%d/metrics", found.host, server.server_address[1])
        server.serve_forever()


if __name__ == "__main__":
    main()
