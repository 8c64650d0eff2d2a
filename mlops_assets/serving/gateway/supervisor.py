"""Makes what runs match what the folder of manifests declares, and says what is.

Each tick reads what is declared, looks at what runs, plans (`plan.py`) and then acts: starts and
stops replicas, switches routes, writes status. Where neither changed nothing is planned, since a
tick holds up requests. Nothing is remembered that a restart would miss, but for the last stable
revision that was ready, which is a file.
"""

import asyncio
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from mlops_assets.errors import ServingError
from mlops_assets.serving.backend import RevisionStatus
from mlops_assets.serving.gateway.metrics import RevisionState
from mlops_assets.serving.gateway.plan import Plan, ReplicaState, build_plan
from mlops_assets.serving.gateway.replica import Replica
from mlops_assets.serving.gateway.revisions import (
    Revision,
    Service,
    read_revision,
    read_service,
    share_anew,
)
from mlops_assets.serving.gateway.settings import GatewaySettings
from mlops_assets.serving.home import ServingHome, read_json, write_json
from mlops_assets.serving.split import Split, read_split
from mlops_assets.serving.status import build_status, same_but_for_times

_LOG = logging.getLogger(__name__)
_LONGEST_SOCKET_PATH = 100  # Linux takes 107 bytes


@dataclass(frozen=True, slots=True)
class Route:
    """Who answers for a service now: replicas with their percent, the stable one first.

    `shadow` gets copies, and answers nobody.
    """

    replicas: tuple[tuple[Replica, int], ...]
    annotations: Mapping[str, str]
    shadow: Replica | None = None


class Supervisor:
    """Runs the revisions of all declared services."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.routes: dict[str, Route] = {}
        self.statuses: dict[str, dict[str, Any]] = {}
        self.changed = asyncio.Event()  # set for a moment whenever routes may have changed
        self._settings = settings
        self._home = ServingHome.under(settings.home)
        self._sockets = _socket_folder(self._home)
        self._replicas: dict[tuple[str, str], Replica] = {}
        self._stopping: set[asyncio.Task[None]] = set()
        self._seen: dict[str, tuple[_Stamps, Service | str]] = {}
        self._settled: dict[str, tuple[Service, _States]] = {}  # what was planned for last
        self._unwritten: dict[Path, Any] = {}  # what a full disk has no room for
        self._wake = asyncio.Event()
        self._n_started = 0
        self._forget_leftovers()

    def _forget_leftovers(self) -> None:
        """Statuses of services that were deleted while no gateway ran."""
        declared = {path.stem for path in self._home.manifests.glob("*.json")}
        for folder in ("status", "ready", "traffic"):
            for path in (self._home.root / folder).glob("*.json"):
                if path.stem not in declared:
                    path.unlink(missing_ok=True)

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            self.tick()
            try:
                await asyncio.wait_for(self._wake.wait(), self._settings.poll_seconds)
            except TimeoutError:
                continue
            self._wake.clear()

    async def stop(self) -> None:
        """Drain and stop every replica."""
        for identity in list(self._replicas):
            self._retire(identity)
        await asyncio.gather(*self._stopping)

    def replicas(self, service: str) -> list[Replica]:
        """The replicas of a service."""
        return [r for (name, _), r in self._replicas.items() if name == service]

    def revision_states(self) -> list[RevisionState]:
        """All that runs, and what it gets."""
        states = []
        for (service, _), replica in sorted(self._replicas.items()):
            route = self.routes.get(service)
            shares = dict(route.replicas) if route else {}
            states.append(
                RevisionState(
                    service,
                    replica.revision.name,
                    is_up=replica.state.phase == "ready",
                    percent=shares.get(replica, 0),
                    is_shadow=route is not None and route.shadow is replica,
                )
            )
        return states

    def tick(self) -> None:
        """One pass over all services."""
        for path, content in list(self._unwritten.items()):
            self._write(path, content)
        declared = self._read_declared()
        for name in {service for service, _ in self._replicas} - set(declared):
            self._forget(name)
        for name in set(self.statuses) - set(declared):
            self._forget(name)
        states: dict[str, _States] = {}
        for (name, key), replica in self._replicas.items():
            states.setdefault(name, {})[key] = replica.state, replica.n_crashes
        for name, service in declared.items():
            if isinstance(service, str):
                _LOG.debug("%s: %s", name, service)
                self._settled.pop(name, None)
                self._publish_broken(name, service)
                continue
            found = states.get(name, {})
            settled, at = self._settled.get(name, (None, {}))
            if settled is not service or at != found:
                self._reconcile(service)
                self._settled[name] = service, found

    def _read_declared(self) -> dict[str, Service | str]:
        """Each declared service, or what is wrong with its manifest. Read when a file changed."""
        found: dict[str, Service | str] = {}
        for path in sorted(self._home.manifests.glob("*.json")):
            try:
                traffic = self._home.traffic(path.stem)
                stamps = (_stamp(path), _stamp_if_any(traffic))
                seen = self._seen.get(path.stem)
                if seen is None or seen[0] != stamps:
                    seen = (stamps, _read(path, traffic))
                    self._seen[path.stem] = seen
            except FileNotFoundError:
                continue  # deleted while we looked
            found[path.stem] = seen[1]
        return found

    def _reconcile(self, service: Service) -> None:
        former = self._former(service)
        states = {r.revision.key: r.state for r in self.replicas(service.name)}
        plan = build_plan(service, former, states)
        wanted = {(service.name, revision.key) for revision in plan.run}
        for revision in plan.run:
            if (service.name, revision.key) not in self._replicas:
                self._start(revision)
        self._switch(service, plan)
        for identity in list(self._replicas):
            if identity[0] == service.name and identity not in wanted:
                self._retire(identity)
        self._publish(service, plan)

    def _former(self, service: Service) -> Revision | None:
        """The stable revision that was ready last, unless it is the declared one."""
        path = self._home.ready(service.name)
        try:
            block = read_json(path)
            if block is None:
                return None
            former = read_revision(service.name, block, percent=100)
        except ServingError as error:
            _LOG.error("%s is removed, no former revision serves: %s", path, error)
            path.unlink(missing_ok=True)
            return None
        return None if former.key == service.stable.key else former

    def _start(self, revision: Revision) -> None:
        self._n_started += 1
        replica = Replica(
            revision,
            self._settings,
            socket_path=self._sockets / f"{self._n_started}.sock",
            log_path=self._home.logs / f"{revision.service}-{revision.name}.log",
            segments=self._home.predictions / revision.service,
            changed=self._wake.set,
        )
        self._replicas[revision.service, revision.key] = replica
        replica.start()

    def _retire(self, identity: tuple[str, str]) -> None:
        replica = self._replicas.pop(identity)
        task = asyncio.get_running_loop().create_task(replica.stop())
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    def _switch(self, service: Service, plan: Plan) -> None:
        route = Route(
            tuple((self._replicas[service.name, r.key], percent) for r, percent in plan.routes),
            service.annotations,
            self._shadow(service),
        )
        if self.routes.get(service.name) != route:
            self.routes[service.name] = route
            if plan.ready_revision == service.stable.name and plan.routes[0][0] == service.stable:
                self._write(self._home.ready(service.name), dict(service.stable.block))
        self.changed.set()
        self.changed.clear()

    def _shadow(self, service: Service) -> Replica | None:
        ready = (
            r
            for r in self.replicas(service.name)
            if r.revision.name == service.shadow and r.state.phase == "ready"
        )
        return next(ready, None)

    def _forget(self, name: str) -> None:
        """A service that is declared no more."""
        self.routes.pop(name, None)
        self.statuses.pop(name, None)
        self._settled.pop(name, None)
        for identity in [key for key in self._replicas if key[0] == name]:
            self._retire(identity)
        for path in (self._home.ready(name), self._home.traffic(name), self._home.status(name)):
            self._unwritten.pop(path, None)
            path.unlink(missing_ok=True)

    def _publish(self, service: Service, plan: Plan) -> None:
        status = build_status(
            phase=plan.phase,
            reason=plan.reason,
            failed_revision=plan.failed_revision,
            declared_revision=service.stable.name,
            ready_revision=plan.ready_revision,
            traffic=plan.traffic,
            url=f"http://{self._settings.host}:{self._settings.port}/v1/models/{service.name}",
            manifest_digest=service.digest,
            shadow=service.shadow if self._shadow(service) else None,
            revisions=self._revisions(service, plan),
            now=datetime.now(UTC),
        )
        self._write_status(service.name, status)

    def _revisions(self, service: Service, plan: Plan) -> list[RevisionStatus]:
        replicas = (self._replicas.get((service.name, r.key)) for r in plan.run)
        return [
            RevisionStatus(
                name=replica.revision.name,
                phase=replica.state.phase,
                reason=replica.state.reason,
                n_crashes=replica.n_crashes,
            )
            for replica in replicas
            if replica is not None
        ]

    def _publish_broken(self, name: str, problem: str) -> None:
        """A manifest that cannot be read; what served before goes on."""
        route = self.routes.get(name)
        traffic = {r.revision.name: percent for r, percent in route.replicas} if route else {}
        status = build_status(
            phase="failed",
            reason=problem,
            failed_revision=None,
            declared_revision="",
            ready_revision=next(iter(traffic), None),
            traffic=traffic,
            url="",
            manifest_digest="",
            now=datetime.now(UTC),
        )
        self._write_status(name, status)

    def _write_status(self, name: str, status: dict[str, Any]) -> None:
        if not same_but_for_times(self.statuses.get(name), status):
            self.statuses[name] = status
            self._write(self._home.status(name), status)

    def _write(self, path: Path, content: Any) -> None:
        """Write a file. What the disk does not take now is written by a later tick."""
        try:
            write_json(path, content)
        except OSError as error:
            if path not in self._unwritten:
                _LOG.error("%s cannot be written now: %s", path, error)
            self._unwritten[path] = content
        else:
            self._unwritten.pop(path, None)


_Stamps = tuple[tuple[int, int, int], tuple[int, int, int] | None]
_States = dict[str, tuple[ReplicaState, int]]  # with crashes, by the revision's key


def _stamp(path: Path) -> tuple[int, int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _stamp_if_any(path: Path) -> tuple[int, int, int] | None:
    try:
        return _stamp(path)
    except FileNotFoundError:
        return None


def _read(path: Path, traffic: Path) -> Service | str:
    try:
        service = share_anew(read_service(read_json(path) or {}), _read_split(traffic))
    except FileNotFoundError:
        raise
    except (ServingError, OSError) as error:
        return str(error)
    if service.name != path.stem:
        return f"{path}: expected the service {path.stem}, found {service.name}"
    return service


def _read_split(path: Path) -> Split | None:
    content = read_json(path)
    return None if content is None else read_split(content)


def _socket_folder(home: ServingHome) -> Path:
    """An empty folder for sockets, private to this user, with a path short enough for one."""
    folder = home.root / "run"
    if len(str(folder).encode()) > _LONGEST_SOCKET_PATH - len("/000000.sock"):
        name = sha256(str(home.root).encode()).hexdigest()[:16]
        folder = Path(tempfile.gettempdir()) / f"mlops-assets-{name}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in folder.glob("*.sock"):
        old.unlink(missing_ok=True)
    return folder
