"""The client of the serving benchmark: one process, an epoll loop over raw sockets.

`python benchmarks/serving_client.py PORT PATH BODY_FILE CONNECTIONS SECONDS [PAUSE_SECONDS]`. Each
connection sends the next request when its answer is there, or that long after. Prints the answers a
second and their latencies in milliseconds as JSON. Imports nothing heavy, since it shares two cores
with the server.
"""

import json
import selectors
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_WARM_UP_SECONDS = 0.1


def exchange(port: int, request: bytes, n_connections: int, seconds: float) -> Iterator[float]:
    """Seconds that each answer took, with every connection kept busy; at least one."""
    selector = selectors.DefaultSelector()
    for _ in range(n_connections):
        connection = connect(port)
        connection.sendall(request)
        selector.register(connection, selectors.EVENT_READ, [time.perf_counter(), b""])
    end, answered = time.perf_counter() + seconds, False
    while time.perf_counter() < end or not answered:
        for key, _ in selector.select():
            connection, state = key.fileobj, key.data  # type: ignore[assignment]
            received = connection.recv(65_536)
            state[1] += received
            if not is_whole(state[1]):
                assert received, "the server closed the connection"
                continue
            now, answered = time.perf_counter(), True
            yield now - state[0]
            state[0], state[1] = now, b""
            connection.sendall(request)
    for key in list(selector.get_map().values()):
        key.fileobj.close()  # type: ignore[union-attr]


def exchange_at_leisure(
    port: int, request: bytes, seconds: float, pause_seconds: float
) -> Iterator[float]:
    """Seconds that each answer took, on one connection with a pause after each."""
    connection = connect(port)
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        connection.sendall(request)
        answer = b""
        while not is_whole(answer):
            received = connection.recv(65_536)
            assert received, "the server closed the connection"
            answer += received
        yield time.perf_counter() - began
        time.sleep(pause_seconds)
    connection.close()


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
    port, path, body_file, n_connections, seconds, *pause = sys.argv[1:]
    body = Path(body_file).read_bytes()
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    request = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
    warm_up = sum(1 for _ in exchange(int(port), request, int(n_connections), _WARM_UP_SECONDS))
    if pause:
        found = exchange_at_leisure(int(port), request, float(seconds), float(pause[0]))
    else:
        found = exchange(int(port), request, int(n_connections), float(seconds))
    ms = sorted(latency * 1e3 for latency in found)
    print(
        json.dumps(
            {
                "per_second": len(ms) / float(seconds),
                "p50_ms": ms[len(ms) // 2],
                "p99_ms": ms[int(len(ms) * 0.99)],
                "n_answers": warm_up + len(ms),
            }
        )
    )


if __name__ == "__main__":
    main()
