"""A real Apache Kafka broker (KRaft, one node) on free loopback ports, in a throw-away folder.

`make kafka` resolves its archives into `.venv/kafka`.
"""

import base64
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from benchmarks.ports import free_port

ARCHIVES = Path(__file__).parents[1] / ".venv" / "kafka"
START_S = 120.0
STOP_S = 30.0
LOGIN = ("ioc", "only-for-tests")
"""Name and password at `Broker.login_address`."""
SCRAM_LOGINS = {"ioc-service": "only-for-tests-too", "ioc-stranger": "may-do-nothing"}
"""Names and passwords at `Broker.secure_address`; neither may do anything until somebody grants it."""
CERTIFICATE_USER, KEY_PASSWORD = "ioc-service", "only-for-this-key"
"""Who `Broker.client` certificates name at `Broker.mutual_address`, and what their key is encrypted with."""
HEAP = "-Xmx384m"


class BrokerUnavailable(Exception):
    """No broker can be had here; the message says why and what to do."""


def require_archives() -> None:
    """Raise `BrokerUnavailable` unless Java and the archives are there."""
    if shutil.which("java") is None:
        raise BrokerUnavailable("no Java: install openjdk-17-jre-headless, or set IOC_TEST_KAFKA")
    if not any(ARCHIVES.glob("kafka_2.13-*.jar")):
        raise BrokerUnavailable("no Kafka archives: run `make kafka`, or set IOC_TEST_KAFKA")


class Access(NamedTuple):
    """How to reach a broker that others share."""

    address: str
    secure_address: str
    mutual_address: str
    ca_file: Path

    @property
    def certificate_file(self) -> Path:
        """The certificate that `mutual_address` asks for, and its chain."""
        return self.ca_file.with_name("client.pem")

    @property
    def key_file(self) -> Path:
        """Its key, encrypted with `KEY_PASSWORD`."""
        return self.ca_file.with_name("client.key")


class Broker:
    """One broker. It keeps its ports and data over `stop`, `kill` and `start`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port, self._controller_port = free_port(), free_port()
        self._login_port, self._secure_port, self._mutual_port = free_port(), free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where clients connect, `host:port`."""
        return f"127.0.0.1:{self._port}"

    @property
    def login_address(self) -> str:
        """Where clients have to log in, as `LOGIN` does."""
        return f"127.0.0.1:{self._login_port}"

    @property
    def secure_address(self) -> str:
        """Where clients have to come over TLS and log in by SCRAM-SHA-512, as one of `SCRAM_LOGINS`."""
        return f"127.0.0.1:{self._secure_port}"

    @property
    def mutual_address(self) -> str:
        """Where clients have to come over TLS and show a certificate of their own."""
        return f"127.0.0.1:{self._mutual_port}"

    @property
    def ca_file(self) -> Path:
        """The authority that signed the certificates at `secure_address` and `mutual_address`."""
        return self._folder / "ca.pem"

    @property
    def access(self) -> Access:
        """How to reach it."""
        return Access(self.address, self.secure_address, self.mutual_address, self.ca_file)

    @property
    def pid(self) -> int:
        """Process id of the running broker."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it takes connections.

        Raises:
            BrokerUnavailable: it ended, or was not there within `START_S`.
        """
        properties = self._folder / "server.properties"
        if not properties.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            properties.write_text(self._properties(), "utf-8")
            cluster = base64.urlsafe_b64encode(uuid4().bytes).decode().rstrip("=")
            arguments = [
                "kafka.tools.StorageTool",
                "format",
                f"--cluster-id={cluster}",
                "-c",
                str(properties),
            ]
            for name, password in SCRAM_LOGINS.items():
                arguments += ["--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]"]
            subprocess.run(self._java("-Xmx128m", *arguments), check=True, capture_output=True)
        with (self._folder / "server.out").open("ab") as output:
            self._process = subprocess.Popen(
                self._java(HEAP, "kafka.Kafka", str(properties)), stdout=output, stderr=output
            )
        deadline_s = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                tail = (self._folder / "server.out").read_text("utf-8", "replace")[-2000:]
                raise BrokerUnavailable(f"Kafka did not start: {tail}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, as a power cut does to the process."""
        self._end(signal.SIGKILL)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Keep it alive but silent (SIGSTOP): connections stay open and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=1):
                return True
        except OSError:
            return False

    def _java(self, heap: str, *arguments: str) -> list[str]:
        return [
            "java",
            heap,
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-cp",
            f"{ARCHIVES}/*",
            *arguments,
        ]

    def _properties(self) -> str:
        user, password = LOGIN
        broker, controller = self.address, f"127.0.0.1:{self._controller_port}"
        listeners = (
            f"PLAINTEXT://{broker},LOGIN://{self.login_address},SECURE://{self.secure_address},"
            f"MUTUAL://{self.mutual_address}"
        )
        values = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"{listeners},CONTROLLER://{controller}",
            "advertised.listeners": listeners,
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": (
                "PLAINTEXT:PLAINTEXT,LOGIN:SASL_PLAINTEXT,SECURE:SASL_SSL,MUTUAL:SSL,CONTROLLER:PLAINTEXT"
            ),
            "listener.name.login.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.login.plain.sasl.jaas.config": (
                f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";'
            ),
            **self._secure_properties(),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            # Whoever comes without TLS may do everything; at `secure_address` what is granted counts.
            "super.users": f"User:ANONYMOUS;User:{user}",
            "log.dirs": str(self._folder / "data"),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "auto.create.topics.enable": "false",
            "log.cleaner.dedupe.buffer.size": str(8 << 20),
        }
        return "".join(f"{name}={value}\n" for name, value in values.items())

    def _secure_properties(self) -> dict[str, str]:
        """Make an authority and certificates, and return the settings of the listeners with TLS."""
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca_file)
        certificate = authority.issue_cert("127.0.0.1")
        # Kafka reads keys as PKCS 8 only.
        key = pkcs8(certificate, NoEncryption()).decode()
        chain = b"".join(each.bytes() for each in certificate.cert_chain_pems).decode()
        client = authority.issue_cert(CERTIFICATE_USER, common_name=CERTIFICATE_USER)
        self.access.certificate_file.write_bytes(b"".join(each.bytes() for each in client.cert_chain_pems))
        self.access.key_file.write_bytes(pkcs8(client, BestAvailableEncryption(KEY_PASSWORD.encode())))
        secure, mutual = "listener.name.secure", "listener.name.mutual"
        keystores = {
            f"{listener}.ssl.keystore.{name}": value.replace("\n", "\\n")
            for listener in (secure, mutual)
            for name, value in {"type": "PEM", "key": key, "certificate.chain": chain}.items()
        }
        return keystores | {
            f"{secure}.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            f"{secure}.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            f"{mutual}.ssl.client.auth": "required",
            f"{mutual}.ssl.truststore.type": "PEM",
            f"{mutual}.ssl.truststore.certificates": (
                authority.cert_pem.bytes().decode().replace("\n", "\\n")
            ),
            f"{mutual}.ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/",
        }


def pkcs8(certificate: trustme.LeafCert, encryption: KeySerializationEncryption) -> bytes:
    """Return a certificate's key in PEM."""
    key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


@contextmanager
def running_broker() -> Iterator[Broker]:
    """Run a broker in a throw-away folder.

    Raises:
        BrokerUnavailable: none can be had here.
    """
    require_archives()
    with tempfile.TemporaryDirectory(prefix="ioc-kafka-", ignore_cleanup_errors=True) as folder:
        broker = Broker(Path(folder))
        broker.start()
        try:
            yield broker
        finally:
            broker.kill()
