"""The pictures' HTTP server: `GET /snapshot/<camera>.jpg`, drawn when asked for."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from re import fullmatch

from simulators import SimulatorError
from simulators.picture import draw
from simulators.world import World


@contextmanager
def snapshot_server(world: World, port: int, host: str = "127.0.0.1") -> Iterator[int]:
    """Serve pictures of `world` now, in a thread of its own, until the block ends.

    Yields:
        The port; with `port` 0 the system chose it.

    Raises:
        SimulatorError: the port is taken, or not ours to take.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = fullmatch(r"/snapshot/([A-Za-z0-9_-]{1,64})\.jpg", self.path.partition("?")[0])
            try:
                view = world.view(found.group(1), time.time_ns() // 1000) if found else None
            except KeyError:
                view = None
            if view is None:
                self._answer(404, "text/plain", b"no such camera\n")
            elif view.silent:
                self._answer(503, "text/plain", b"the camera does not answer\n")
            else:
                self._answer(200, "image/jpeg", draw(view))

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: one line per picture would bury the status line."""

    try:
        server = ThreadingHTTPServer((host, port), Handler)
    except OSError as problem:
        raise SimulatorError(
            f"--snapshot-port {port}: {problem.strerror}; choose another, or 0 for no pictures"
        ) from problem
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="snapshots", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=1.0)
