"""HTTP/1.1 in the application's own event loop: one thread for a request's whole way.

A server that reads in one thread and calls Python in another wakes one of them for each request and
one for each answer. Where a processor has nothing else to do that takes longer than a model does.
"""

import asyncio
import contextlib
import logging
import socket
import time
from pathlib import Path

from mlops_assets.serving.http_server.arrival import HttpApp
from mlops_assets.serving.http_server.connection import HttpConnection
from mlops_assets.serving.process import allow_open_files, require_free_port

_LOG = logging.getLogger(__name__)
_MOST_CONNECTIONS = 4_096  # above it new callers wait
_BACKLOG = 1_024
_SWEEP_SECONDS = 1.0
_RETRY_SECONDS = 0.1
PARTING_SECONDS = 5.0  # for callers to take what was answered before the end


class HttpServer:
    """Serves an application at an address.

    Args:
        app: Answers.
        host: Address to listen at.
        port: Port to listen at.
        socket_path: Unix socket to listen at instead.
        shares_port: Other processes of ours listen there, too, and each gets some of the callers.

    Raises:
        PlatformError: the port is taken.
    """

    def __init__(
        self,
        app: HttpApp,
        *,
        host: str,
        port: int,
        socket_path: Path | None = None,
        shares_port: bool = False,
    ) -> None:
        allow_open_files(2 * _MOST_CONNECTIONS)
        if socket_path is None and not shares_port:
            require_free_port(host, port)
        self._app = app
        self._address = host, port
        self._socket_path = socket_path
        self._shares_port = shares_port
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        self._listening: socket.socket | None = None
        self._accepts = False  # it is looked whether somebody comes
        self._connections: set[HttpConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def n_connections(self) -> int:
        """Callers that are connected."""
        return len(self._connections)

    async def serve(self) -> None:
        """Answer until `stop` is called, and until what was answered has left."""
        with self._listen() as self._listening:
            self._listening.setblocking(False)
            self._look_for_callers()
            async with asyncio.TaskGroup() as group:
                sweeping = group.create_task(self._sweep())
                await self._stopped.wait()
                sweeping.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PARTING_SECONDS):
                while self._connections:
                    await asyncio.sleep(0.01)

    def stop(self) -> None:
        """Have `serve` end. At once nothing more is read; what was written still leaves."""
        self._stopped.set()
        self._look_away()
        for connection in tuple(self._connections):
            connection.close()

    def _listen(self) -> socket.socket:
        if self._socket_path is None:
            return socket.create_server(
                self._address,
                family=socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET,
                backlog=_BACKLOG,
                reuse_port=self._shares_port,
            )
        self._socket_path.unlink(missing_ok=True)  # of a process that was killed
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(self._socket_path))
        listening.listen(_BACKLOG)
        return listening

    def _look_for_callers(self) -> None:
        if self._listening is None or self._accepts or self._stopped.is_set():
            return
        self._accepts = True
        self._loop.add_reader(self._listening, self._accept)

    def _look_away(self) -> None:
        if self._listening is not None and self._accepts:
            self._accepts = False
            self._loop.remove_reader(self._listening)

    def _accept(self) -> None:
        """Let in all who have come, as far as there is room."""
        assert self._listening is not None  # noqa: S101
        while len(self._connections) < _MOST_CONNECTIONS:
            try:
                accepted, _ = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as error:  # no file is left, or the caller went
                _LOG.warning("a caller could not be let in: %s", error)
                self._loop.call_later(_RETRY_SECONDS, self._look_for_callers)
                break
            connection = HttpConnection(self._app, self._tasks, self._forget)
            self._connections.add(connection)
            task = self._loop.create_task(self._connect(connection, accepted))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._look_away()

    async def _connect(self, connection: HttpConnection, accepted: socket.socket) -> None:
        try:
            if accepted.family != socket.AF_UNIX:
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(lambda: connection, accepted)
        except OSError:  # it left already
            accepted.close()
            self._forget(connection)

    def _forget(self, connection: HttpConnection) -> None:
        self._connections.discard(connection)
        self._look_for_callers()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = time.monotonic()
            for connection in tuple(self._connections):
                connection.expire(now)
