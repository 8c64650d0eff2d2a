"""The process of one revision: started, probed, watched, started again, drained.

A replica never decides about traffic: it reports a state, and `plan.py` decides.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Callable
from pathlib import Path

from mlops_assets.modeling.manifest import MANIFEST_FILE
from mlops_assets.serving.gateway.memory import resident_bytes
from mlops_assets.serving.gateway.plan import ReplicaState
from mlops_assets.serving.gateway.revisions import Revision
from mlops_assets.serving.gateway.settings import GatewaySettings
from mlops_assets.serving.gateway.upstream import Upstream, UpstreamLostError, build_request
from mlops_assets.serving.home import ServingHome

_LOG = logging.getLogger(__name__)
_CONNECT_SECONDS = 0.02
_PROBE_SECONDS = 10.0
_LIVENESS_FAILURES = 3
_MEMORY_SECONDS = 1.0  # how often its memory is looked at
_LONGEST_BACKOFF_SECONDS = 60.0
_LARGEST_LOG_BYTES = 1_000_000


class Replica:
    """Keeps one process of a revision running until `stop`."""

    def __init__(
        self,
        revision: Revision,
        settings: GatewaySettings,
        *,
        socket_path: Path,
        log_path: Path,
        segments: Path,
        changed: Callable[[], None],
    ) -> None:
        self.revision = revision
        self.state = ReplicaState("starting", "its process was not started yet")
        self.upstream: Upstream | None = None
        self.n_in_flight = 0
        self.n_crashes = 0  # since it was first started
        self._last_crash = ""
        self.features: tuple[str, ...] = ()  # known once it was probed
        self._settings = settings
        self._socket_path = socket_path
        self._log_path = log_path
        self._log_begin = 0  # of what the process that runs now wrote
        self._segments = segments
        self._changed = changed
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to keep it running; returns at once."""
        self._task = asyncio.get_running_loop().create_task(self._keep_running())

    @property
    def pid(self) -> int | None:
        """The process that runs now."""
        return None if self._process is None else self._process.pid

    async def stop(self) -> None:
        """Wait for requests in flight, then end the process; kill it when it does not end."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_seconds):
                while self.n_in_flight:
                    await asyncio.sleep(0.01)
        await self._end_process(signal.SIGTERM)
        self._leave_upstream()

    def _leave_upstream(self) -> None:
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.close()

    async def _keep_running(self) -> None:
        n_failures = 0
        while True:
            words = f"waits for its probe since attempt {n_failures + 1}"
            self._become("starting", self._with_crashes(words))
            was_ready = False
            try:
                problem = await self._start_process()
                if problem is None:
                    was_ready = True
                    self._become("ready", self._with_crashes("answered the probe"))
                    problem = await self._watch()
                    self.n_crashes += 1
                    self._last_crash = problem
            except OSError as error:
                problem = f"its process could not be started: {error}"
            except Exception as error:  # or nobody would end its process and start another
                _LOG.exception("%s/%s", self.revision.service, self.revision.name)
                was_ready, problem = False, f"the gateway failed to keep it running: {error!r}"
            self._leave_upstream()
            await self._end_process(signal.SIGKILL)
            n_failures = 0 if was_ready else n_failures + 1
            _LOG.error("%s/%s: %s", self.revision.service, self.revision.name, problem)
            if not was_ready:
                self._become("failed", problem)
                await asyncio.sleep(min(_LONGEST_BACKOFF_SECONDS, 2.0**n_failures))

    def _with_crashes(self, words: str) -> str:
        if not self.n_crashes:
            return words
        times = "once" if self.n_crashes == 1 else f"{self.n_crashes} times"
        return f"{words}; before, it ended {times}: {self._last_crash}"

    def _become(self, phase: str, reason: str) -> None:
        if phase == "starting" and self.state.phase == "failed":
            return  # another attempt is no news until it succeeds
        self.state = ReplicaState(phase, reason)  # type: ignore[arg-type]
        self._changed()

    async def _start_process(self) -> str | None:
        """Start it and wait for its probe; what is wrong, or None when it is ready."""
        revision = self.revision
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        too_long = self._log_path.is_file() and self._log_path.stat().st_size > _LARGEST_LOG_BYTES
        with self._log_path.open("wb" if too_long else "ab") as log:
            self._log_begin = log.tell()
            spawning = asyncio.ensure_future(
                asyncio.create_subprocess_exec(
                    *self._command(),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
            try:
                self._process = await asyncio.shield(spawning)
            except asyncio.CancelledError:
                self._process = await spawning  # so that `stop` ends it
                raise
        upstream = Upstream(self._socket_path)
        try:
            async with asyncio.timeout(revision.ready_timeout_seconds):
                problem = await self._probe(self._process, upstream)
            if problem is None:
                self.upstream = upstream
        except TimeoutError:
            problem = f"it did not answer its probe in {revision.ready_timeout_seconds:g} s"
        finally:
            if self.upstream is not upstream:
                upstream.close()
        return problem

    def _command(self) -> list[str]:
        revision = self.revision
        return [
            sys.executable,
            "-m",
            "mlops_assets.serving.predictor",
            f"--model-name={revision.service}",
            f"--model-dir={revision.model_dir}",
            f"--require-signed={ServingHome.under(self._settings.home).trusted_keys}",
            f"--socket-path={self._socket_path}",
            f"--parent-pid={os.getpid()}",
            f"--revision={revision.name}",
            f"--log-dir={self._segments}",
            f"--log-key={ServingHome.under(self._settings.home).log_key}",
            f"--max-body-bytes={self._settings.max_body_bytes}",
            *revision.arguments,
        ]

    async def _probe(self, process: Process, upstream: Upstream) -> str | None:
        request = self._probe_request()
        while True:
            if process.returncode is not None:
                return self._last_words(process.returncode)
            try:
                reply = await upstream.send(request, _PROBE_SECONDS)
            except (UpstreamLostError, TimeoutError):
                await asyncio.sleep(_CONNECT_SECONDS)
                continue
            if reply.status == 200:
                return None
            return f"it answered {reply.status} to its example: {_shown(reply.body)}"

    def _probe_request(self) -> bytes:
        """The manifest's example, as any caller would send it."""
        rows: list[object] = []
        with contextlib.suppress(
            OSError, ValueError, KeyError, TypeError
        ):  # the predictor says it better
            manifest = json.loads((self.revision.model_dir / MANIFEST_FILE).read_bytes())
            rows = manifest["example"]
            self.features = tuple(field["name"] for field in manifest["features"])
        body = json.dumps({"instances": rows}).encode()
        path = f"/v1/models/{self.revision.service}:predict"
        headers = [("content-type", "application/json"), ("x-mlops-probe", "1")]
        return build_request("POST", path, headers, body)

    async def _watch(self) -> str:
        """Why a ready process is one no more."""
        assert self._process is not None  # noqa: S101
        n_silent, asked_at = 0, time.monotonic()
        limit_bytes = self.revision.memory_bytes
        live = build_request("GET", "/v2/health/live", [], b"")
        while True:
            try:
                code = await asyncio.wait_for(self._process.wait(), _MEMORY_SECONDS)
            except TimeoutError:
                pass
            else:
                return self._last_words(code)
            used_bytes = resident_bytes(self._process.pid)
            if limit_bytes is not None and used_bytes > limit_bytes:
                return _out_of_memory(used_bytes, limit_bytes)
            if time.monotonic() < asked_at + self._settings.liveness_seconds:
                continue
            asked_at = time.monotonic()
            try:
                assert self.upstream is not None  # noqa: S101
                await self.upstream.send(live, self._settings.liveness_seconds)
                n_silent = 0
            except (UpstreamLostError, TimeoutError):
                n_silent += 1
                if n_silent == _LIVENESS_FAILURES:
                    return f"it did not answer {n_silent} health checks in a row"

    def _last_words(self, code: int) -> str:
        how = f"signal {-code}" if code < 0 else f"code {code}"
        words = ""
        with contextlib.suppress(OSError), self._log_path.open("rb") as log:
            log.seek(self._log_begin)
            lines = log.read().decode("utf-8", "replace").strip().splitlines()
            words = lines[-1].split(" ERROR ", 1)[-1] if lines else ""
        return f"its process ended with {how}" + (f": {words[:500]}" if words else "")

    async def _end_process(self, number: signal.Signals) -> None:
        process = self._process
        if process is None:
            return
        self._process = None
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            try:
                await asyncio.wait_for(process.wait(), self._settings.drain_seconds)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        self._socket_path.unlink(missing_ok=True)


def _shown(body: bytes) -> str:
    return body.decode("utf-8", "replace")[:300]


def _out_of_memory(used_bytes: int, limit_bytes: int) -> str:
    used, limit = used_bytes / 2**20, limit_bytes / 2**20
    return f"it held {used:.0f} MiB of memory, {limit:.0f} MiB allowed (serving.memory)"
