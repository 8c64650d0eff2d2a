"""The client of the serving benchmark: one process, an epoll loop over raw sockets.

`python benchmarks/serving_client.py PORTS PATH BODY_FILE CONNECTIONS SECONDS [PAUSE_SECONDS]`.
PORTS are those of one server or, with commas, of several. Several are asked by turns of a tenth of
a second for so many seconds each, so that whatever else the machine does meets all alike. Each
connection sends the next request when its answer is there, or that long after. Prints, for each
server, the answers a second and their latencies in milliseconds as JSON. Imports nothing heavy,
since it shares two cores with the servers.
"""

import json
import selectors
import socket
import sys
import time
from pathlib import Path
from typing import Any

_WARM_UP_SECONDS = 0.1
_SLICE_SECONDS = 0.1


class Server:
    """One server, with the connections to it, and what was found."""

    def __init__(self, port: int, request: bytes, n_connections: int) -> None:
        self.seconds = 0.0
        self.latencies: list[float] = []
        self._request = request
        self._selector = selectors.DefaultSelector()
        for _ in range(n_connections):
            self._selector.register(connect(port), selectors.EVENT_READ, [0.0, b""])

    def exchange(self, seconds: float) -> None:
        """Keep every connection busy for so long, and until all is answered."""
        request, latencies, look = self._request, self.latencies, self._selector.select
        began = time.perf_counter()
        end = began + seconds
        for key in self._selector.get_map().values():
            key.data[0] = time.perf_counter()
            key.fileobj.sendall(request)  # type: ignore[union-attr]
        n_busy = len(self._selector.get_map())
        now = began
        while n_busy:
            for key, _ in look():
                connection: Any = key.fileobj
                state = key.data
                received = connection.recv(65_536)
                state[1] += received
                if not is_whole(state[1]):
                    assert received, "the server closed the connection"
                    continue
                now = time.perf_counter()
                latencies.append(now - state[0])
                state[0], state[1] = now, b""
                if now < end:
                    connection.sendall(request)
                else:
                    n_busy -= 1
        self.seconds += now - began

    def exchange_at_leisure(self, seconds: float, pause_seconds: float) -> None:
        """The same on the first connection, with a pause after each answer."""
        connection: Any = next(iter(self._selector.get_map().values())).fileobj
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            connection.sendall(self._request)
            answer = b""
            while not is_whole(answer):
                received = connection.recv(65_536)
                assert received, "the server closed the connection"
                answer += received
            self.latencies.append(time.perf_counter() - began)
            time.sleep(pause_seconds)
        self.seconds += seconds


def connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def is_whole(answer: bytes) -> bool:
    """Whether all of an answer is there, which must be a 200."""
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return False
    assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
    at = answer.lower().find(b"content-length: ", 0, end) + 16
    return len(answer) >= end + 4 + int(answer[at : answer.find(b"\r", at)])


def main() -> None:
    ports, path, body_file, n_connections, seconds, *pause = sys.argv[1:]
    body = Path(body_file).read_bytes()
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    request = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
    servers = [Server(int(port), request, int(n_connections)) for port in ports.split(",")]
    for server in servers:
        server.exchange(_WARM_UP_SECONDS)
    n_warm_up = [len(server.latencies) for server in servers]
    for server in servers:
        server.seconds, server.latencies[:] = 0.0, []
    slice_seconds = _SLICE_SECONDS if len(servers) > 1 else float(seconds)
    for number in range(round(float(seconds) / slice_seconds)):
        for server in servers[:: -1 if number % 2 else 1]:
            if pause:
                server.exchange_at_leisure(slice_seconds, float(pause[0]))
            else:
                server.exchange(slice_seconds)
    found = []
    for server, n in zip(servers, n_warm_up, strict=True):
        ms = sorted(latency * 1e3 for latency in server.latencies)
        found.append(
            {
                "per_second": len(ms) / server.seconds,
                "p50_ms": ms[len(ms) // 2],
                "p99_ms": ms[int(len(ms) * 0.99)],
                "n_answers": n + len(ms),
            }
        )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
