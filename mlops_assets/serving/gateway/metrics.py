"""The gateway's `/metrics`: what it saw and runs, in Prometheus' text format.

The names stay: alert rules and the analysis of rollouts go by them (`docs/serving.md`).
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlops_assets.serving.gateway.mirror import Mirrored
from mlops_assets.serving.gateway.traffic import RevisionTraffic, Traffic
from mlops_assets.serving.prediction_log.segments import list_segments
from mlops_assets.serving.predictor.metrics import BUCKETS_SECONDS

_Sample = tuple[str, float]  # labels and value


@dataclass(frozen=True, slots=True)
class RevisionState:
    """A revision that the gateway runs.

    Attributes:
        service: Name of the InferenceService.
        name: Name of the revision.
        is_up: Whether it answered its probe and lives.
        percent: Its share of the requests now.
        is_shadow: Whether it gets copies.
    """

    service: str
    name: str
    is_up: bool
    percent: int
    is_shadow: bool


@dataclass(frozen=True, slots=True)
class Backlog:
    """Segments of a service's prediction log that stand on the disk."""

    n_segments: int
    n_bytes: int


def measure_backlog(folder: Path) -> Backlog:
    """What stands in the folder of one service's segments."""
    sizes = []
    for path in list_segments(folder):
        with contextlib.suppress(FileNotFoundError):  # moved to the tables while we looked
            sizes.append(path.stat().st_size)
    return Backlog(len(sizes), sum(sizes))


def render_metrics(
    revisions: Iterable[RevisionState],
    traffic: Traffic,
    mirrored: Mapping[str, Mirrored],
    backlogs: Mapping[str, Backlog],
) -> str:
    """All of it."""
    lines = [
        *_revision_lines(list(revisions)),
        *_traffic_lines(traffic),
        *_mirror_lines(mirrored),
        *_backlog_lines(backlogs),
    ]
    return "\n".join([*lines, ""])


def _labels(service: str, revision: str | None = None, **more: object) -> str:
    pairs = {"service": service, "revision": revision, **more}
    return ",".join(f'{key}="{value}"' for key, value in pairs.items() if value is not None)


def _family(name: str, kind: str, meaning: str, samples: Iterable[_Sample]) -> Iterator[str]:
    yield f"# HELP {name} {meaning}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        yield f"{name}{{{labels}}} {value:.0f}"


def _revision_lines(revisions: list[RevisionState]) -> Iterator[str]:
    def each(value: str) -> list[_Sample]:
        return [(_labels(r.service, r.name), float(getattr(r, value))) for r in revisions]

    up = "Whether a revision answered its probe and lives."
    yield from _family("mlops_gateway_revision_up", "gauge", up, each("is_up"))
    share = "Share of the requests that a revision gets now."
    yield from _family("mlops_gateway_traffic_percent", "gauge", share, each("percent"))
    shadow = "Whether a revision gets copies of requests."
    yield from _family("mlops_gateway_revision_shadow", "gauge", shadow, each("is_shadow"))


def _traffic_lines(traffic: Traffic) -> Iterator[str]:
    seen = sorted(traffic.revisions.items())
    answers = [
        (_labels(*key, code=status), float(n))
        for key, revision in seen
        for status, n in sorted(revision.by_status.items())
    ]
    text = "Prediction requests by answering revision and status; 504: it took too long."
    yield from _family("mlops_gateway_requests_total", "counter", text, answers)
    yield from _latency_lines(seen)
    lost = [(_labels(*key), float(revision.n_lost)) for key, revision in seen]
    text = "Requests that a revision's process died with."
    yield from _family("mlops_gateway_lost_total", "counter", text, lost)
    unlogged = [(_labels(*key), float(revision.n_unlogged)) for key, revision in seen]
    text = "Answers that the prediction log had no room for."
    yield from _family("mlops_gateway_unlogged_total", "counter", text, unlogged)
    retried = [(_labels(key), float(n)) for key, n in sorted(traffic.n_retried.items())]
    text = "Requests sent once more, to the stable revision."
    yield from _family("mlops_gateway_retries_total", "counter", text, retried)
    refused = [
        (_labels(service, code=status), float(n))
        for (service, status), n in sorted(traffic.n_refused.items())
    ]
    text = "Requests that no revision answered; no service's name: it is not declared."
    yield from _family("mlops_gateway_refused_total", "counter", text, refused)


def _latency_lines(seen: list[tuple[tuple[str, str], RevisionTraffic]]) -> Iterator[str]:
    name = "mlops_gateway_request_seconds"
    yield f"# HELP {name} Time from a request's body to its answer, retries included."
    yield f"# TYPE {name} histogram"
    for key, revision in seen:
        labels, total = _labels(*key), 0
        for bound, n in zip((*BUCKETS_SECONDS, "+Inf"), revision.by_bucket, strict=True):
            total += n
            yield f'{name}_bucket{{{labels},le="{bound}"}} {total}'
        yield f"{name}_count{{{labels}}} {total}"
        yield f"{name}_sum{{{labels}}} {revision.seconds:.6f}"


def _mirror_lines(mirrored: Mapping[str, Mirrored]) -> Iterator[str]:
    copies = [
        (_labels(service, result=result), float(n))
        for service, one in sorted(mirrored.items())
        for result, n in (
            ("answered", one.n_answered),
            ("failed", one.n_failed),
            ("dropped", one.n_dropped),
        )
    ]
    text = "Copies for a shadow, by what became of them."
    yield from _family("mlops_gateway_mirror_copies_total", "counter", text, copies)
    waiting = [(_labels(name), float(len(one.waiting))) for name, one in sorted(mirrored.items())]
    text = "Copies that wait for a quiet moment."
    yield from _family("mlops_gateway_mirror_waiting", "gauge", text, waiting)


def _backlog_lines(backlogs: Mapping[str, Backlog]) -> Iterator[str]:
    n_segments = [(_labels(name), float(one.n_segments)) for name, one in sorted(backlogs.items())]
    text = "Segments of the prediction log on the disk."
    yield from _family("mlops_gateway_log_segments", "gauge", text, n_segments)
    n_bytes = [(_labels(name), float(one.n_bytes)) for name, one in sorted(backlogs.items())]
    text = "Bytes in them."
    yield from _family("mlops_gateway_log_segment_bytes", "gauge", text, n_bytes)
