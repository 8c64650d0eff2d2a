"""HTTP/1.1 in the event loop that also hears the revisions: one thread for a request's whole way.

granian reads in one thread, calls Python in a second one and is answered from a third: to forward a
request through them takes a third more processor time.
"""

import asyncio
import logging
import socket
import time
from functools import partial

from mlops_assets.serving.gateway.http_connection import HttpApp, HttpConnection
from mlops_assets.serving.process import allow_open_files, require_free_port

_LOG = logging.getLogger(__name__)
_MOST_CONNECTIONS = 4_096  # above it new callers wait
_BACKLOG = 1_024
_SWEEP_SECONDS = 1.0
_RETRY_SECONDS = 0.1


class HttpServer:
    """Serves an application at an address.

    Args:
        app: Answers.
        host: Address to listen at.
        port: Port to listen at.

    Raises:
        PlatformError: the port is taken.
    """

    def __init__(self, app: HttpApp, *, host: str, port: int) -> None:
        allow_open_files(2 * _MOST_CONNECTIONS)
        require_free_port(host, port)
        self._app = app
        self._address = host, port
        self._stopped = asyncio.Event()
        self._room = asyncio.Semaphore(_MOST_CONNECTIONS)
        self._connections: set[HttpConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def n_connections(self) -> int:
        """Callers that are connected."""
        return len(self._connections)

    async def serve(self) -> None:
        """Answer until `stop` is called."""
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        with socket.create_server(self._address, family=family, backlog=_BACKLOG) as listening:
            listening.setblocking(False)
            async with asyncio.TaskGroup() as group:
                running = [
                    group.create_task(self._accept(listening)),
                    group.create_task(self._sweep()),
                ]
                await self._stopped.wait()
                for task in running:
                    task.cancel()

    def stop(self) -> None:
        """Have `serve` end. At once nothing more is read; what was written still leaves."""
        self._stopped.set()
        for connection in tuple(self._connections):
            connection.close()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._room.acquire()
            try:
                accepted, _ = await loop.sock_accept(listening)
            except OSError as error:  # no file is left, or the caller went
                _LOG.warning("a caller could not be let in: %s", error)
                self._room.release()
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            if self._stopped.is_set():
                accepted.close()
                return
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = HttpConnection(self._app, self._tasks, self._forget)
            self._connections.add(connection)
            try:
                await loop.connect_accepted_socket(partial(_itself, connection), accepted)
            except OSError:  # it left already
                self._forget(connection)

    def _forget(self, connection: HttpConnection) -> None:
        self._connections.discard(connection)
        self._room.release()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = time.monotonic()
            for connection in tuple(self._connections):
                connection.expire(now)


def _itself(connection: HttpConnection) -> HttpConnection:
    return connection
