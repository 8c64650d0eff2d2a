"""Imported by every Python process that has this folder on PYTHONPATH: writes down each attempt to
reach another machine, with its traceback, into the file that NETWORK_GUARD_LOG names."""

import ipaddress
import os
import sys
import traceback
from typing import Any

_EVENTS = {"socket.connect": 1, "socket.sendto": 1, "socket.getaddrinfo": 0, "socket.bind": 1}


def _is_this_machine(address: Any) -> bool:
    if isinstance(address, tuple):
        address = address[0]
    if address in (None, "", "localhost") or isinstance(address, bytes):
        return True  # a wildcard, or a Unix socket
    if isinstance(address, str) and address.startswith("/"):
        return True
    try:
        return ipaddress.ip_address(str(address)).is_loopback
    except ValueError:
        return False


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    position = _EVENTS.get(event)
    if position is None or _is_this_machine(arguments[position]):
        return
    with open(os.environ["NETWORK_GUARD_LOG"], "a") as log:  # noqa: PTH123 - as early as can be
        log.write(f"{event} {arguments[position]} in {sys.argv}\n")
        log.writelines(traceback.format_stack(limit=12))


if "NETWORK_GUARD_LOG" in os.environ:
    sys.addaudithook(_watch)
