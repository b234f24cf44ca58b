"""Ports for the servers that benchmarks and tests start."""

import secrets
import socket
from contextlib import suppress
from pathlib import Path

FIRST_PORT = 20_000
_LENT_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_TRIES = 100

_given: set[int] = set()


def free_port() -> int:
    """Return a loopback port that nobody listens on now and that was not returned before.

    It lies below the ports that the system lends to outgoing connections, so a server that was ended finds
    it free at its next start, whatever other processes connected to meanwhile.

    Raises:
        RuntimeError: no free port was met.
    """
    after_last = int(_LENT_PORTS.read_text().split()[0])
    for _ in range(_TRIES):
        port = FIRST_PORT + secrets.randbelow(after_last - FIRST_PORT)
        if port in _given:
            continue
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            _given.add(port)
            return port
    raise RuntimeError(f"no free port met between {FIRST_PORT} and {after_last}; see `ss -ltn`")
