"""Sends each request to a revision, and once more to the stable one when that revision died."""

import asyncio
import random
import time
from dataclasses import dataclass, field

from mlops_assets.kserve.manifest import ENTITY_KEY
from mlops_assets.serving.gateway.entity import find_entity
from mlops_assets.serving.gateway.mirror import Copy, Mirror
from mlops_assets.serving.gateway.replica import Replica
from mlops_assets.serving.gateway.request_id import find_id
from mlops_assets.serving.gateway.routing import (
    STICKY_HEADER,
    STICKY_SALT,
    choose,
    hash_unit,
    sticky_ticket,
)
from mlops_assets.serving.gateway.settings import GatewaySettings
from mlops_assets.serving.gateway.supervisor import Route, Supervisor
from mlops_assets.serving.gateway.traffic import Prediction, Traffic
from mlops_assets.serving.gateway.upstream import (
    Asking,
    Upstream,
    UpstreamLostError,
    UpstreamReply,
    build_request,
)
from mlops_assets.serving.prediction_log.failures import FailureLog, failure_of, is_failure
from mlops_assets.serving.prediction_log.records import LOST
from mlops_assets.serving.protocol.http import VERSION_HEADER, TextHeaders
from mlops_assets.serving.protocol.refusal import RequestError
from mlops_assets.serving.protocol.rsgi import HeaderValues, RequestHeaders

UNLOGGED_HEADER = "x-prediction-log"
_FORWARDED = ("content-type", "content-encoding", "inference-header-content-length", "ce-id")
_RETURNED = {
    "content-type",
    "inference-header-content-length",
    VERSION_HEADER,
    "x-request-id",
    UNLOGGED_HEADER,
    "retry-after",
    "allow",
}
REVISION_HEADER = "x-revision"


@dataclass(slots=True, eq=False)
class Forwarding:
    """A request on its way, and what decides which revision it goes to."""

    service: str
    method: str
    path: str
    headers: HeaderValues
    body: bytes
    prediction_id: str
    sent: TextHeaders
    started: float = field(default_factory=time.perf_counter)
    unit: str = ""
    replica: Replica | None = None
    _route: Route | None = None
    _caller: str | None = None

    @property
    def is_prediction(self) -> bool:
        """Whether it is logged and counted as one."""
        return self.method == "POST"

    def build(self) -> bytes:
        """Its bytes, as a revision gets them."""
        return build_request(self.method, self.path, self.sent, self.body)

    def caller(self, route: Route) -> str | None:
        """Who or what it is about, if its service goes by that; read from the body once."""
        if self._route is not route:
            self._route = route
            self._caller = _sticky_value(self, route) or _entity(self, route)
        return self._caller


class Router:
    """Routes requests by service."""

    def __init__(
        self,
        settings: GatewaySettings,
        supervisor: Supervisor,
        traffic: Traffic,
        mirror: Mirror,
        failures: FailureLog,
    ) -> None:
        self._mirror = mirror
        self._failures = failures
        self._settings = settings
        self._supervisor = supervisor
        self._traffic = traffic

    def open(
        self, service: str, method: str, path: str, headers: HeaderValues, body: bytes
    ) -> Forwarding:
        """A request, ready to be sent.

        Raises:
            RequestError: 400, its id cannot be one.
        """
        prediction_id = find_id(RequestHeaders(headers), body, path)
        sent = [(name, value) for name in _FORWARDED if (value := headers.get(name)) is not None]
        sent.append(("x-request-id", prediction_id))
        call = Forwarding(service, method, path, headers, body, prediction_id, sent)
        call.unit = self._unit(call)
        if call.unit:
            sent.append(("x-mlops-unit", call.unit))
        return call

    def send_at_once(self, call: Forwarding, asking: Asking) -> bool:
        """Send a request over a kept connection. False: `forward` it, since it has to wait."""
        route = self._supervisor.routes.get(call.service)
        if route is None or not route.replicas or REVISION_HEADER in call.headers:
            return False
        replica = self._share(call, route)
        upstream = replica.upstream
        if upstream is None:
            return False
        request = call.build()
        call.replica = replica
        replica.n_in_flight += 1
        if upstream.ask(request, asking, self._settings.request_timeout_seconds):
            return True
        replica.n_in_flight -= 1
        return False

    async def forward(self, call: Forwarding) -> UpstreamReply:
        """The answer of a revision of the service, with the headers that callers get.

        Raises:
            RequestError: 404 no such service or revision, 503 nothing is ready, 504 no answer in
                time.
        """
        replica, reply = await self._exchange(call, call.build())
        return self.conclude(call, replica, reply)

    def conclude(self, call: Forwarding, replica: Replica, reply: UpstreamReply) -> UpstreamReply:
        """Count an answer, offer the request to the shadow; the answer as callers get it."""
        if is_failure(reply.status):
            self._note_failure(call, replica, reply.status)
        logged = True
        returned = [(REVISION_HEADER, replica.revision.name)]
        for header in reply.headers:
            if header[0] in _RETURNED:
                returned.append(header)
                logged = logged and header[0] != UNLOGGED_HEADER
        if call.is_prediction:
            self._count(call, replica, reply.status, reply.body[:160], logged=logged)
            if reply.status < 400:
                self._copy(call, replica)
        return UpstreamReply(reply.status, returned, reply.body)

    def give_up(self, call: Forwarding, replica: Replica) -> RequestError:
        """Count a request that took too long; what its caller is told."""
        self._note_failure(call, replica, 504)
        if call.is_prediction:
            self._count(call, replica, 504, b"", logged=True)
        return RequestError(
            504,
            f"revision {replica.revision.name} did not answer in "
            f"{self._settings.request_timeout_seconds:g} s",
        )

    def _count(
        self, call: Forwarding, replica: Replica, status: int, excerpt: bytes, *, logged: bool
    ) -> None:
        name, seconds = replica.revision.name, time.perf_counter() - call.started
        answer = Prediction(
            time.time(), call.prediction_id, call.service, name, status, seconds, excerpt
        )
        self._traffic.count(answer, logged=logged)

    def _copy(self, call: Forwarding, answered: Replica) -> None:
        """Offer an answered request to the shadow, if there is one and it is not the answerer."""
        route = self._supervisor.routes.get(call.service)
        if route is not None and route.shadow is not None and route.shadow is not answered:
            copy = Copy(call.path, call.sent, call.body, call.prediction_id, call.unit)
            self._mirror.offer(call.service, route.shadow, copy)

    def _unit(self, call: Forwarding) -> str:
        """Whom the log counts a prediction for, hashed; empty while nothing is compared."""
        route = self._supervisor.routes.get(call.service)
        if route is None or (len(route.replicas) < 2 and route.shadow is None):
            return ""
        caller = call.caller(route) if call.is_prediction else None
        return "" if caller is None else hash_unit(call.service, caller)

    async def _exchange(self, call: Forwarding, request: bytes) -> tuple[Replica, UpstreamReply]:
        replica, upstream = await self._pick(call, None)
        try:
            return replica, await self._send(call, replica, upstream, request)
        except UpstreamLostError:
            self._traffic.n_retried[call.service] += 1
            replica, upstream = await self._pick(call, upstream)
        try:
            return replica, await self._send(call, replica, upstream, request)
        except UpstreamLostError as error:
            raise RequestError(
                503,
                f"revision {replica.revision.name} of {call.service} died with this request, twice",
                retry_after_seconds=1,
            ) from error

    async def _send(
        self, call: Forwarding, replica: Replica, upstream: Upstream, request: bytes
    ) -> UpstreamReply:
        replica.n_in_flight += 1
        try:
            return await upstream.send(request, self._settings.request_timeout_seconds)
        except UpstreamLostError:
            self._note_failure(call, replica, LOST)
            self._traffic.count_lost(call.service, replica.revision.name)
            raise
        except TimeoutError as error:
            raise self.give_up(call, replica) from error
        finally:
            replica.n_in_flight -= 1

    def _note_failure(self, call: Forwarding, replica: Replica, status: int) -> None:
        if call.is_prediction:
            name, seconds = replica.revision.name, time.perf_counter() - call.started
            failure = failure_of(name, call.prediction_id, status, seconds, call.unit, shadow=False)
            self._failures.write(call.service, failure)

    async def _pick(self, call: Forwarding, lost: Upstream | None) -> tuple[Replica, Upstream]:
        """A revision's live process; waits a little for one that is just starting.

        Args:
            call: The request.
            lost: A process that was just seen to be gone; the stable revision is next then.
        """
        service = call.service
        deadline = time.monotonic() + self._settings.hold_seconds
        while True:
            route = self._supervisor.routes.get(service)
            if route is None and service not in self._supervisor.statuses:
                raise RequestError(404, f"Model with name {service} does not exist.")
            replica = self._candidate(call, route, again=lost is not None)
            if replica is not None and replica.upstream not in (None, lost):
                assert replica.upstream is not None  # noqa: S101
                return replica, replica.upstream
            left = deadline - time.monotonic()
            if left <= 0 or not self._may_come(service):
                raise RequestError(503, f"no revision of {service} is ready", retry_after_seconds=1)
            try:
                await asyncio.wait_for(self._supervisor.changed.wait(), min(left, 0.5))
            except TimeoutError:
                continue

    def _candidate(self, call: Forwarding, route: Route | None, *, again: bool) -> Replica | None:
        if REVISION_HEADER in call.headers:
            asked = call.headers.get(REVISION_HEADER) or ""
            for replica in self._supervisor.replicas(call.service):
                if replica.revision.name == asked:
                    return replica
            raise RequestError(404, f"{call.service} has no revision {asked[:60]!r}")
        if route is None or not route.replicas:
            return None
        return route.replicas[0][0] if again else self._share(call, route)

    def _share(self, call: Forwarding, route: Route) -> Replica:
        """The revision that the request falls to."""
        if len(route.replicas) == 1:
            return route.replicas[0][0]
        percents = [percent for _, percent in route.replicas]
        return route.replicas[choose(percents, _ticket(call, route))][0]

    def _may_come(self, service: str) -> bool:
        return any(r.state.phase != "failed" for r in self._supervisor.replicas(service))


def _ticket(call: Forwarding, route: Route) -> float:
    """The same for the same sticky header or entity; any for a request that names none."""
    caller = call.caller(route)
    if caller is None:
        return random.random() * 100
    return sticky_ticket(route.annotations.get(STICKY_SALT, call.service), caller)


def _sticky_value(call: Forwarding, route: Route) -> str | None:
    wanted = route.annotations.get(STICKY_HEADER)
    return call.headers.get(wanted.lower()) if wanted else None


def _entity(call: Forwarding, route: Route) -> str | None:
    key = route.annotations.get(ENTITY_KEY)
    if key is None:
        return None
    features = route.replicas[0][0].features
    return find_entity(call.body, RequestHeaders(call.headers), key=key, features=features)
