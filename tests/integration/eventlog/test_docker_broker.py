"""The tests' broker by Docker: which calls are made, that it works, and that nothing of it is left."""

import asyncio
import json
import os
import socket
import sys
import time
from pathlib import Path

import pytest
import yaml
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks.broker import ARCHIVES, BrokerUnavailable, require_archives
from benchmarks.docker_broker import IMAGE, docker_answers
from benchmarks.shared_broker import shared_broker, start_any

ROOT = Path(__file__).parents[3]
FAKE = Path(__file__).with_name("fake_docker.py")


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `docker` on the path that runs the broker from the archives; its folder."""
    try:
        require_archives()
    except BrokerUnavailable as error:
        pytest.skip(f"no Kafka for the stand-in to run: {error}")
    programs, folder = tmp_path / "bin", tmp_path / "docker"
    programs.mkdir()
    folder.mkdir()
    (programs / "docker").write_text(f'#!/bin/sh\nexec {sys.executable} {FAKE} "$@"\n', "utf-8")
    (programs / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_DOCKER", str(folder))
    monkeypatch.setenv("FAKE_DOCKER_CLASSPATH", f"{ARCHIVES}/*")
    return folder


def calls(folder: Path) -> list[list[str]]:
    return [json.loads(line) for line in (folder / "calls").read_text("utf-8").splitlines()]


def answers(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def test_the_image_is_the_release_of_compose_and_of_the_archives() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
    assert services["kafka"]["image"] == IMAGE
    version = IMAGE.partition(":")[2]
    assert f"<version>{version}</version>" in (ROOT / "tests" / "kafka" / "pom.xml").read_text("utf-8")


async def test_docker_is_preferred_serves_a_session_and_leaves_nothing(docker: Path, tmp_path: Path) -> None:
    with shared_broker(tmp_path / "shared") as access:
        address = access.address
        admin = AIOKafkaAdminClient(bootstrap_servers=address)
        await admin.start()
        try:
            await admin.create_topics([NewTopic("works", 1, 1)])
            assert "works" in await admin.list_topics()
        finally:
            await admin.close()
        (run,) = [call for call in calls(docker) if call[0] == "run"]
        name = run[run.index("--name") + 1]
        assert run[:2] == ["run", "--detach"]
        assert run[-1] == IMAGE
        assert run[run.index("--publish") + 1].startswith("127.0.0.1:"), "reached from this machine only"
    deadline_s = time.monotonic() + 60
    while calls(docker)[-1] != ["rm", "--force", "--volumes", name]:
        assert time.monotonic() < deadline_s, calls(docker)
        await asyncio.sleep(0.1)  # another process's doing
    host, _, port = address.partition(":")
    while answers(host, int(port)):
        assert time.monotonic() < deadline_s, "the broker goes on"
        await asyncio.sleep(0.1)


def test_where_the_image_cannot_be_had_the_archives_serve_and_the_name_is_removed(
    docker: Path, tmp_path: Path
) -> None:
    (docker / "refuse").touch()
    broker = start_any(tmp_path / "own")
    try:
        assert broker.address
        assert [call[0] for call in calls(docker)] == ["version", "run", "rm"]
    finally:
        broker.kill()


def test_a_command_without_an_engine_is_no_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docker").write_text("#!/bin/sh\nexit 1\n", "utf-8")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not docker_answers()
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert not docker_answers()
