"""The gateway's page for people: plain HTML that works without JavaScript. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from typing import Any

from mlops_assets.serving.gateway.traffic import Traffic
from mlops_assets.serving.status import read_status

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Serving gateway</title>
<meta name="viewport" content="width=device-width"><meta http-equiv="refresh" content="5">
<style>
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#222}
table{border-collapse:collapse;width:100%;margin:.5rem 0 2rem}
th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #ddd;vertical-align:top}
th{font-weight:600;color:#555}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
code{font-size:.85em}.ready{color:#176b35}.failed{color:#b3261e}.pending{color:#8a5a00}
</style></head><body><h1>Serving gateway</h1>
"""


def render_page(
    statuses: Mapping[str, Mapping[str, Any]], traffic: Traffic, *, monotonic: float
) -> str:
    """The page: services, their revisions and traffic, and the last predictions."""
    parts = [_HEAD]
    if not statuses:
        parts.append("<p>No service is declared yet.</p>")
    else:
        parts.append("<h2>Services</h2>")
        parts.append(_table(("service", "phase", "ready", "reason"), _services(statuses), 0))
        parts.append("<h2>Revisions</h2>")
        columns = (
            "service",
            "revision",
            "traffic",
            "requests",
            "per second",
            "errors",
            "p50",
            "p99",
        )
        parts.append(_table(columns, _revisions(statuses, traffic, monotonic), 2))
    if traffic.last:
        parts.append("<h2>Last predictions</h2>")
        titles = ("time (UTC)", "service", "revision", "id", "status", "ms", "answer")
        parts.append(_table(titles, _predictions(traffic), 7))
    parts.append("</body></html>\n")
    return "".join(parts)


def _table(head: tuple[str, ...], rows: list[list[str]], numeric_from: int) -> str:
    """A table; cells hold HTML. Columns from `numeric_from` on stand to the right; 0: none."""

    def cell(tag: str, index: int, content: str) -> str:
        right = ' class="n"' if numeric_from and index >= numeric_from else ""
        return f"<{tag}{right}>{content}</{tag}>"

    lines = ["".join(cell("th", i, escape(name)) for i, name in enumerate(head))]
    lines.extend("".join(cell("td", i, content) for i, content in enumerate(row)) for row in rows)
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _services(statuses: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    rows = []
    for name in sorted(statuses):
        status = read_status(name, statuses[name])
        rows.append(
            [
                escape(name),
                f'<span class="{status.phase}">{status.phase}</span>',
                escape(status.ready_revision or "none"),
                escape(status.reason),
            ]
        )
    return rows


def _revisions(
    statuses: Mapping[str, Mapping[str, Any]], traffic: Traffic, monotonic: float
) -> list[list[str]]:
    shares = {
        (name, revision): percent
        for name in statuses
        for revision, percent in read_status(name, statuses[name]).traffic.items()
    }
    rows = []
    for key in sorted({*shares, *(k for k in traffic.revisions if k[0] in statuses)}):
        seen = traffic.revisions.get(key)
        n = (seen.n_requests, seen.n_errors) if seen else (0, 0)
        p50 = seen.percentile_ms(0.5) if seen else None
        p99 = seen.percentile_ms(0.99) if seen else None
        rows.append(
            [
                escape(key[0]),
                escape(key[1]),
                f"{shares.get(key, 0)} %",
                f"{n[0]:,}",
                f"{seen.per_second(monotonic) if seen else 0:.1f}",
                f"{n[1]:,}",
                _milliseconds(p50),
                _milliseconds(p99),
            ]
        )
    return rows


def _milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} ms"


def _predictions(traffic: Traffic) -> list[list[str]]:
    return [
        [
            datetime.fromtimestamp(p.at, UTC).strftime("%H:%M:%S"),
            escape(p.service),
            escape(p.revision),
            f"<code>{escape(p.prediction_id)}</code>",
            str(p.status),
            f"{p.seconds * 1000:.2f}",
            f"<code>{escape(p.excerpt.decode('utf-8', 'replace'))}</code>",
        ]
        for p in reversed(traffic.last)
    ]
