"""Counts of each revision from Prometheus, by query templates.

A template may name `{service}`, `{namespace}`, `{revision}` and `{seconds}`, the length of the
window. The defaults fit Standard mode, where the names of a revision's pods begin with its own, and
a scraper that keeps the labels `namespace` and `pod`. Other labels need other templates.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from mlops_assets.errors import ServingError
from mlops_assets.kserve.counters import Counters, Reading, Window, bins_of

_PODS = 'namespace="{namespace}",pod=~"{service}-{revision}-predictor-.+"'


@dataclass(frozen=True, slots=True)
class QueryTemplates:
    """What is asked.

    Attributes:
        requests: Number of requests in the window: one value.
        errors: Number of those that were not answered, 4xx or 5xx: one value.
        latency: Number of answers up to each bound in seconds: one value for each label `le`.
    """

    requests: str = "sum(increase(mlops_requests_total{" + _PODS + "}[{seconds}s]))"
    errors: str = "sum(increase(mlops_requests_total{" + _PODS + ',code=~"4xx|5xx"}[{seconds}s]))'
    latency: str = (
        "sum by (le) (increase(request_predict_seconds_bucket{" + _PODS + "}[{seconds}s]))"
    )


class PrometheusMetrics:
    """`CounterReader` that asks Prometheus.

    Args:
        url: Where it answers, without `/api/v1`.
        namespace: Namespace of the InferenceServices.
        templates: What is asked.
        timeout_seconds: Longest wait for one answer.
        token: Sent as a bearer token.
    """

    def __init__(
        self,
        url: str,
        namespace: str,
        templates: QueryTemplates | None = None,
        *,
        timeout_seconds: float = 10.0,
        token: str | None = None,
    ) -> None:
        self._url = f"{url.rstrip('/')}/api/v1/query"
        self._namespace = namespace
        self._templates = templates or QueryTemplates()
        self._timeout_seconds = timeout_seconds
        self._headers = {"authorization": f"Bearer {token}"} if token else {}

    def read(
        self,
        service: str,
        revisions: Sequence[str],
        window: Window,
        cursor: str,  # noqa: ARG002  Prometheus remembers by itself
    ) -> Reading:
        """Counts of the window, as Prometheus extrapolates them to its ends.

        A revision without a series is left out: it was not scraped yet, or its labels are others.
        """
        seconds = max(1, round((window.until - window.since).total_seconds()))
        found = {}
        for revision in revisions:
            names = {
                "service": service,
                "namespace": self._namespace,
                "revision": revision,
                "seconds": str(seconds),
            }
            counters = self._read_one(names, window)
            if counters is not None:
                found[revision] = counters
        return Reading(found)

    def _read_one(self, names: Mapping[str, str], window: Window) -> Counters | None:
        templates = self._templates
        requests = self._query(fill(templates.requests, names), window)
        if not requests:
            return None
        errors = self._query(fill(templates.errors, names), window)
        buckets = self._query(fill(templates.latency, names), window)
        return Counters(
            round(sum(value for _, value in requests)),
            round(sum(value for _, value in errors)),
            bins_of({float(labels["le"]): value for labels, value in buckets if "le" in labels}),
        )

    def _query(self, query: str, window: Window) -> list[tuple[Mapping[str, str], float]]:
        """The samples of an instant vector at the window's end."""
        try:
            response = httpx.post(
                self._url,
                data={"query": query, "time": f"{window.until.timestamp():.3f}"},
                headers=self._headers,
                timeout=self._timeout_seconds,
                trust_env=False,
            )
        except httpx.HTTPError as error:
            raise ServingError(f"Prometheus at {self._url} did not answer: {error!r}") from error
        try:
            content: Any = response.json()
            if content["status"] != "success":
                raise ServingError(
                    f"Prometheus refused {query}: {response.status_code} {content.get('error')}"
                )
            result = content["data"]["result"]
            samples = [(item["metric"], float(item["value"][1])) for item in result]
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise ServingError(
                f"Prometheus at {self._url} did not answer as it should: {response.status_code} "
                f"{response.text[:200]!r}"
            ) from error
        return [(labels, value) for labels, value in samples if math.isfinite(value)]


def fill(template: str, names: Mapping[str, str]) -> str:
    """A template with its names filled in; other braces are PromQL's own.

    >>> fill('up{job="{service}"}', {"service": "toy"})
    'up{job="toy"}'
    """
    for name, value in names.items():
        template = template.replace(f"{{{name}}}", value)
    return template
