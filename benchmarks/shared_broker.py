"""One Kafka broker for every worker of a test session.

Run as a module it keeps the broker and ends it when nobody holds the folder's lock any more, however the
session ended.
"""

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.broker import START_S, Access, Broker, BrokerUnavailable, require_archives
from benchmarks.docker_broker import PULL_S, DockerBroker, docker_answers

USERS, ADDRESS, FAILURE = "users.lock", "address", "failure"


@contextmanager
def shared_broker(folder: Path, *, own: bool = False) -> Iterator[Access]:
    """Yield how to reach the broker that all users of `folder` share; the first one starts it.

    `own` wants one from the archives: only that has an entrance with TLS and login.

    Raises:
        BrokerUnavailable: none can be had here.
    """
    if own or not docker_answers():
        require_archives()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / USERS).open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        with (folder / "start.lock").open("w") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            if not (folder / ADDRESS).exists() and not (folder / FAILURE).exists():
                keeper = [
                    sys.executable,
                    "-m",
                    "benchmarks.shared_broker",
                    str(folder),
                    *(["own"] if own else []),
                ]
                subprocess.run(keeper, cwd=Path(__file__).parents[1], stdin=subprocess.DEVNULL, check=True)
                _wait_for_either(folder / ADDRESS, folder / FAILURE)
        if (folder / FAILURE).exists():
            raise BrokerUnavailable((folder / FAILURE).read_text("utf-8"))
        address, secure, mutual, ca_file = json.loads((folder / ADDRESS).read_text("utf-8"))
        yield Access(address, secure, mutual, Path(ca_file))


def _wait_for_either(*paths: Path) -> None:
    deadline_s = time.monotonic() + PULL_S + 2 * START_S
    while not any(path.exists() for path in paths):
        if time.monotonic() > deadline_s:
            raise BrokerUnavailable("the broker's keeper said nothing")
        time.sleep(0.1)


def _write(path: Path, text: str) -> None:
    """Let the file appear with its content."""
    path.with_suffix(".new").write_text(text, "utf-8")
    path.with_suffix(".new").rename(path)


def keep(folder: Path, *, own: bool) -> None:
    """Run a broker for as long as anybody holds the folder's lock."""
    broker: Broker | DockerBroker | None = None
    try:
        broker = start_own(folder / "broker") if own else start_any(folder / "broker")
        access = broker.access if isinstance(broker, Broker) else Access(broker.address, "", "", Path())
        _write(folder / ADDRESS, json.dumps(list(map(str, access))))
        with (folder / USERS).open("w") as users:
            while True:
                try:
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    time.sleep(0.3)
    except (BrokerUnavailable, subprocess.CalledProcessError) as error:
        output = error.stderr.decode() if isinstance(error, subprocess.CalledProcessError) else ""
        _write(folder / FAILURE, f"{error} {output}")
    finally:
        if broker is not None:
            broker.kill()


def start_any(folder: Path) -> Broker | DockerBroker:
    """Return a running broker: Docker's where an engine answers, else one from the archives.

    Raises:
        BrokerUnavailable: none can be had here.
    """
    refusal = ""
    if docker_answers():
        container = DockerBroker()
        try:
            container.start()
        except BrokerUnavailable as error:
            refusal = f"{error}; "
        else:
            return container
    try:
        return start_own(folder)
    except BrokerUnavailable as error:
        raise BrokerUnavailable(f"{refusal}{error}") from error


def start_own(folder: Path) -> Broker:
    """Return a running broker from the archives.

    Raises:
        BrokerUnavailable: none can be had here.
    """
    broker = Broker(folder)
    try:
        require_archives()
        broker.start()
    except BrokerUnavailable:
        broker.kill()
        raise
    return broker


if __name__ == "__main__":
    # It outlives whoever needs it first.
    if os.fork() == 0:
        os.setsid()
        keep(Path(sys.argv[1]), own="own" in sys.argv[2:])
