"""How to reach Kafka, and the bounds of talking to it."""

from pathlib import Path

import msgspec


class KafkaSecurity(msgspec.Struct, frozen=True, kw_only=True):
    """SASL and TLS, in Kafka's own words."""

    protocol: str = "PLAINTEXT"
    """PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."""
    mechanism: str = "SCRAM-SHA-512"
    username: str = ""
    password: str = ""
    ca_file: Path | None = None
    """Authorities that sign the brokers' certificates; None for the system's."""
    certificate_file: Path | None = None
    key_file: Path | None = None
    key_password: str = ""
    """What `key_file` is encrypted with; empty where it is not."""


class KafkaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Every bound has a name here. Times in seconds, sizes in bytes."""

    bootstrap_servers: str
    """`host:port`, several separated by commas."""
    security: KafkaSecurity = KafkaSecurity()
    prefix: str = ""
    """Put before the names of topics and groups, so that several services can share a cluster."""
    instance: str = ""
    """A name that a process keeps over restarts (static membership); empty for none."""
    replication: int = 3
    min_insync: int = 2
    request_timeout_s: float = 8.0
    """Longest wait for one answer. An append holds a transaction open so long: the database must let it."""
    join_timeout_s: float = 30.0
    """Longest wait for a first assignment."""
    close_timeout_s: float = 3.0
    stuck_s: float = 60.0
    """A consumer that gets nothing for so long although there is something is rebuilt."""
    max_rebuilds: int = 3
    """Rebuilds in a row that helped nothing before the process gives up."""
    record_bytes: int = 1 << 20
    """Largest record."""
    fetch_bytes: int = 1 << 20
    """What is fetched ahead per partition."""
    fetch_total_bytes: int = 16 << 20
    """The same for one broker's answer."""
