"""Apache Kafka in a container, by Docker's command line: what tests use where an engine answers.

The container has a name of its own, publishes one free loopback port and is removed at the end, its volumes
with it. Nothing else of the engine is touched.
"""

import secrets
import shutil
import subprocess
import time

from benchmarks.broker import BrokerUnavailable
from benchmarks.ports import free_port

IMAGE = "apache/kafka:4.1.0"
"""The same release as the one that `make kafka` fetches and compose.yaml runs."""
ANSWER_S = 10.0
PULL_S = 90.0
"""A slower line pulls the image beforehand."""
START_S = 120.0
_READY = "/opt/kafka/bin/kafka-broker-api-versions.sh"


def docker_answers() -> bool:
    """Return whether there is a Docker engine; the command alone is none."""
    if shutil.which("docker") is None:
        return False
    try:
        return _docker("version", "--format", "{{.Server.Version}}", within_s=ANSWER_S).returncode == 0
    except subprocess.TimeoutExpired:
        return False


class DockerBroker:
    """One broker in its container, from `start` to `kill`."""

    def __init__(self) -> None:
        self.name = f"ioc-kafka-{secrets.token_hex(6)}"
        self._port, self._controller_port = free_port(), free_port()

    @property
    def address(self) -> str:
        """Where clients connect, `host:port`."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Run the container and wait until the broker in it answers.

        Raises:
            BrokerUnavailable: the image cannot be had, the broker ended or did not answer in time.
        """
        publish = f"127.0.0.1:{self._port}:{self._port}"
        variables = [
            part for name, value in self._variables().items() for part in ("--env", f"{name}={value}")
        ]
        try:
            run = ["run", "--detach", "--name", self.name, "--publish", publish, *variables, IMAGE]
            done = _docker(*run, within_s=PULL_S)
            if done.returncode != 0:
                raise BrokerUnavailable(f"docker run {IMAGE}: {done.stderr.strip()}")
            self._wait()
        except (BrokerUnavailable, subprocess.TimeoutExpired) as error:
            self.kill()
            raise BrokerUnavailable(f"no Kafka by Docker: {error}") from error

    def kill(self) -> None:
        """Remove the container, whatever state it is in."""
        _docker("rm", "--force", "--volumes", self.name, within_s=START_S)

    def _wait(self) -> None:
        deadline_s = time.monotonic() + START_S
        ready = ("exec", self.name, _READY, "--bootstrap-server", f"localhost:{self._port}")
        while (done := _docker(*ready, within_s=START_S)).returncode != 0:
            if time.monotonic() > deadline_s:
                raise BrokerUnavailable(f"it does not answer: {done.stderr.strip()[-500:]}")
            time.sleep(0.5)

    def _variables(self) -> dict[str, str]:
        """Return the image's variables: `KAFKA_A_B` is the broker's property `a.b`."""
        broker, controller = f"PLAINTEXT://:{self._port}", f"CONTROLLER://:{self._controller_port}"
        return {
            "KAFKA_PROCESS_ROLES": "broker,controller",
            "KAFKA_NODE_ID": "1",
            "KAFKA_CONTROLLER_QUORUM_VOTERS": f"1@localhost:{self._controller_port}",
            "KAFKA_LISTENERS": f"{broker},{controller}",
            "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{self.address}",
            "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
            "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "4",
            "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
            "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
            "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
            "KAFKA_HEAP_OPTS": "-Xmx384m",
        }


def _docker(*arguments: str, within_s: float) -> subprocess.CompletedProcess[str]:
    command = ["docker", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=within_s)
