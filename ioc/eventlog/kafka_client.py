"""Connections to Kafka: how they are made, questioned, ended, and what their errors mean here.

Two habits of aiokafka 0.14 are met in this file. A call may wait for ever (`start` of a client whose broker
went away half-way, issue 759; `stop` while something is still to be sent), so every call has a timeout here.
And an orderly `stop` is all there is, so a client that cannot stop in order is taken apart by its parts.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from ssl import SSLCertVerificationError, SSLContext, SSLError
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    InvalidReplicationFactorError,
    InvalidSessionTimeoutError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedSaslMechanismError,
    for_code,
)
from aiokafka.helpers import create_ssl_context

from ioc.eventlog.kafka_settings import KafkaSettings
from ioc.eventlog.port import LogRejected, LogUnavailable

_RIGHTS: Final = "grant our user what docs/operations.md names under Access to Kafka"
_LOGIN: Final = "check log.username, log.password and log.sasl_mechanism"
_ADVICE: Final[dict[type[KafkaError], str]] = {
    AuthenticationFailedError: _LOGIN,
    SaslAuthenticationFailed: _LOGIN,
    AuthenticationMethodNotSupported: "check log.security",
    UnsupportedSaslMechanismError: "set log.sasl_mechanism to one that the brokers offer",
    ClusterAuthorizationFailedError: _RIGHTS,
    GroupAuthorizationFailedError: _RIGHTS,
    TopicAuthorizationFailedError: _RIGHTS,
    InvalidReplicationFactorError: "set log.replication to the number of brokers at most, or add brokers",
    InvalidSessionTimeoutError: "set log.lease_s to what the brokers allow (group.min.session.timeout.ms)",
}
"""Answers that no repetition makes better, with what to do about each."""


def refusal(error: KafkaError) -> LogRejected | None:
    """Return what `error` means where Kafka refuses us for good, else None."""
    advice = next((text for kind, text in _ADVICE.items() if isinstance(error, kind)), None)
    return None if advice is None else LogRejected(f"Kafka refuses: {error}; {advice}")


@contextmanager
def own_cancellations() -> Iterator[None]:
    """Turn a cancellation that was not meant for our task into `LogUnavailable`.

    aiokafka waits for tasks of its own, and when one of them was cancelled, so is whoever called (seen after
    a broker died). A task group takes a child that ends like that for one that has done its work.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise LogUnavailable("Kafka: a task of the client's own was cancelled") from error


@contextmanager
def heeding_cancellations() -> Iterator[None]:
    """Raise a cancellation of ours that was swallowed meanwhile: aiokafka does so while it closes."""
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    yield
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError


@asynccontextmanager
async def asking(timeout_s: float) -> AsyncIterator[None]:
    """Bound a call and translate what goes wrong.

    Raises:
        LogUnavailable: no answer in time, or one that may be better next time.
        LogRejected: Kafka refuses us: credentials, permissions, settings.
    """
    try:
        with own_cancellations():
            async with asyncio.timeout(timeout_s):
                yield
    except TimeoutError as error:
        raise LogUnavailable(f"Kafka did not answer within {timeout_s} s") from error
    except KafkaError as error:
        raise refusal(error) or LogUnavailable(f"Kafka: {error}") from error
    except OSError as error:
        raise LogUnavailable(f"Kafka: {error}") from error


def tls_context(settings: KafkaSettings) -> SSLContext | None:
    """Return the TLS context where the protocol wants one.

    Raises:
        OSError: a file that cannot be read; ssl.SSLError: or that is no certificate, or no key of it, or one
            with another password.
    """
    security = settings.security
    if not security.protocol.endswith("SSL"):
        return None
    context: SSLContext = create_ssl_context(
        cafile=security.ca_file,
        certfile=security.certificate_file,
        keyfile=security.key_file,
        password=security.key_password,  # without one, OpenSSL would ask at the terminal
    )
    return context


def connection(settings: KafkaSettings, client: str) -> dict[str, Any]:
    """Return the arguments that every client of aiokafka takes."""
    arguments: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers,
        "client_id": f"ioc-{client}",
        "request_timeout_ms": round(settings.request_timeout_s * 1000),
        "security_protocol": settings.security.protocol,
        "ssl_context": tls_context(settings),
    }
    if settings.security.protocol.startswith("SASL"):
        arguments |= {
            "sasl_mechanism": settings.security.mechanism,
            "sasl_plain_username": settings.security.username,
            "sasl_plain_password": settings.security.password,
        }
    return arguments


async def explain_refusal(settings: KafkaSettings) -> None:
    """Connect once more by hand: a client that finds no broker says only that, not what each one answered.

    Raises:
        LogRejected: a broker was reached, and either side refuses the other.
        LogUnavailable: a broker hangs up: it speaks otherwise, or is about to end.
    """
    for host, port, _ in collect_hosts(settings.bootstrap_servers, randomize=False):
        server = f"{host}:{port}"
        try:
            async with asyncio.timeout(settings.request_timeout_s):
                made = await create_conn(host, port, **_per_connection(settings))
            made.close()
        except SSLCertVerificationError as error:
            raise LogRejected(
                f"the certificate of Kafka at {server} is not trusted: {error.verify_message}; "
                "set log.tls_ca to the authority that signed it, and log.bootstrap_servers to a name it holds"
            ) from error
        except SSLError as error:
            raise LogRejected(
                f"no TLS with Kafka at {server}: {error.reason}; check log.security and that port, "
                "and log.tls_certificate where brokers ask for one"
            ) from error
        except (KafkaConnectionError, ConnectionResetError) as error:
            if refused := await _refused_certificate(settings, host, port):
                raise refused from error
            raise LogUnavailable(
                f"Kafka at {server} ends the connection; check log.security and what that port is for"
            ) from error
        except KafkaError as error:
            if refused := refusal(error):
                raise refused from error
        except (TimeoutError, OSError):
            continue


async def _refused_certificate(settings: KafkaSettings, host: str, port: int) -> LogRejected | None:
    """Return what a broker has against our certificate, or its absence, if that is why it hangs up.

    In TLS 1.3 it says so only after our side of the handshake, where aiokafka does not listen any more.
    """
    if (context := tls_context(settings)) is None:
        return None
    reason = ""
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(settings.close_timeout_s):
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            try:
                await reader.read(1)  # we say nothing, so neither does a broker that is content with us
            except SSLError as error:
                reason = error.reason or ""
            finally:
                writer.close()
    if "CERTIFICATE" not in reason and "UNKNOWN_CA" not in reason:
        return None
    file, words = settings.security.certificate_file, reason.lower().replace("_", " ")
    if file is None:
        return LogRejected(
            f"Kafka at {host}:{port} asks for a certificate of ours ({words}); "
            "set log.tls_certificate and log.tls_key"
        )
    return LogRejected(
        f"Kafka at {host}:{port} does not take our certificate {file} ({words}); "
        "set log.tls_certificate to one that is valid and that an authority of the brokers signed"
    )


def _per_connection(settings: KafkaSettings) -> dict[str, Any]:
    arguments = connection(settings, "explain")
    del arguments["bootstrap_servers"]
    return arguments


async def end_consumer(consumer: AIOKafkaConsumer, timeout_s: float) -> None:
    """Stop it, leaving its group; where that is not possible in time, cut it off."""
    with heeding_cancellations():
        with suppress(TimeoutError, KafkaError, OSError, LogUnavailable), own_cancellations():
            async with asyncio.timeout(timeout_s):
                await consumer.stop()
                return
        await cut_consumer(consumer)


async def cut_consumer(consumer: AIOKafkaConsumer) -> None:
    """Take a consumer apart without a word to its group, as a crash would."""
    consumer._closed = True
    coordinator = consumer._coordinator
    names = ("_coordination_task", "_heartbeat_task", "_commit_refresh_task", "_reset_committed_task")
    tasks = [task for name in names if (task := getattr(coordinator, name, None)) is not None]
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    try:
        with suppress(KafkaError, OSError, LogUnavailable), own_cancellations():
            if consumer._fetcher is not None:
                await consumer._fetcher.close()
    finally:
        await consumer._client.close()


async def end_producer(producer: AIOKafkaProducer, timeout_s: float) -> None:
    """Stop it; what it could not send in time is dropped: its append has failed already, or is nobody's."""
    with heeding_cancellations():
        with suppress(TimeoutError, KafkaError, OSError, LogUnavailable), own_cancellations():
            async with asyncio.timeout(timeout_s):
                await producer.stop()
                return
        producer._closed = True
        try:
            with suppress(KafkaError, OSError, LogUnavailable), own_cancellations():
                # An idempotent producer never gives a batch up: without this it would go on for ever.
                await producer._sender.close()
        finally:
            await producer.client.close()


class Cluster:
    """Questions about topics, and their making. Names are Kafka's own, prefix included."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._admin: AIOKafkaAdminClient | None = None
        self._reader: AIOKafkaConsumer | None = None
        self._opening = asyncio.Lock()
        self._known = False
        """Whether we were ever let in: what worked once may work again, so later refusals are waited out."""

    async def close(self) -> None:
        """Close both connections; the next question opens new ones."""
        admin, self._admin = self._admin, None
        reader, self._reader = self._reader, None
        if admin is not None:
            with suppress(KafkaError, OSError):
                await admin.close()
        if reader is not None:
            await end_consumer(reader, self._settings.close_timeout_s)

    async def create(self, topic: str, partitions: int, configs: dict[str, str]) -> int:
        """Create `topic` unless it exists and return its number of partitions. Raises as `asking`."""
        if found := await self.partitions(topic):
            return found
        async with self._asked() as (admin, _):
            wanted = NewTopic(topic, partitions, self._settings.replication, topic_configs=configs)
            answer = await admin.create_topics([wanted])
            (_, code, message), *_ = answer.topic_errors
            if code and for_code(code) is not TopicAlreadyExistsError:
                raise for_code(code)(f"{topic}: {message}")
        return await self._known_everywhere(topic, 1)

    async def _known_everywhere(self, topic: str, partitions: int) -> int:
        """Wait until brokers, which learn of it one after the other, know so many partitions at least."""
        deadline = asyncio.get_running_loop().time() + self._settings.request_timeout_s
        while (found := await self.partitions(topic)) < partitions:
            if asyncio.get_running_loop().time() >= deadline:
                raise LogUnavailable(f"Kafka made {partitions} partitions of {topic} and does not know them")
            await asyncio.sleep(0.05)
        return found

    async def add_partitions(self, topic: str, partitions: int) -> None:
        """Let an existing topic have `partitions`, if it has fewer. Raises as `asking`."""
        if await self.partitions(topic) >= partitions:
            return
        async with self._asked() as (admin, _):
            await admin.create_partitions({topic: NewPartitions(partitions)})
        await self._known_everywhere(topic, partitions)

    async def members(self, group: str) -> list[str]:
        """Return the clients that are in a consumer group now. Raises as `asking`."""
        async with self._asked() as (admin, _):
            (answer,) = await admin.describe_consumer_groups([group])
            return [str(member[1]) for each in answer.groups for member in each[5]]

    async def brokers(self) -> int:
        """Return how many brokers there are. Raises as `asking`."""
        async with self._asked() as (admin, _):
            return len((await admin.describe_cluster())["brokers"])

    async def identity(self) -> str:
        """Return the id that the cluster was given when it was made. Raises as `asking`."""
        async with self._asked() as (admin, _):
            return str((await admin.describe_cluster())["cluster_id"])

    async def partitions(self, topic: str) -> int:
        """Return the number of partitions, 0 where there is no such topic. Raises as `asking`."""
        return len(await self.copies(topic))

    async def copies(self, topic: str) -> list[int]:
        """Return how many copies each partition has, nothing where there is no such topic."""
        async with self._asked() as (admin, _):
            (described,) = await admin.describe_topics([topic])
            error = for_code(described["error_code"])
            if error is UnknownTopicOrPartitionError:
                return []
            if described["error_code"]:
                raise error(topic)
            return [len(each["replicas"]) for each in described["partitions"]]

    async def configs(self, topic: str, names: Iterable[str]) -> dict[str, str]:
        """Return these settings of an existing topic. Raises as `asking`."""
        wanted = ConfigResource(ConfigResourceType.TOPIC, topic, configs=dict.fromkeys(names))
        async with self._asked() as (admin, _):
            (answer,) = await admin.describe_configs([wanted])
            ((code, message, _, _, entries),) = answer.resources
            if code:
                raise for_code(code)(f"{topic}: {message}")
            return {name: value for name, value, *_ in entries}

    async def ends(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """Return the offset after the last record, by partition. Raises as `asking`."""
        async with self._asked() as (_, reader):
            found = await reader.end_offsets([TopicPartition(topic, number) for number in partitions])
        return {place.partition: offset for place, offset in found.items()}

    async def starts(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """Return the offset of the first record kept, by partition. Raises as `asking`."""
        async with self._asked() as (_, reader):
            found = await reader.beginning_offsets([TopicPartition(topic, number) for number in partitions])
        return {place.partition: offset for place, offset in found.items()}

    async def since(self, topic: str, partitions: Iterable[int], at_us: int) -> dict[int, int]:
        """Return the offset of the first record appended at `at_us` or later, if there is one."""
        moments = {TopicPartition(topic, number): max(0, at_us // 1000) for number in partitions}
        async with self._asked() as (_, reader):
            found = await reader.offsets_for_times(moments)
        return {place.partition: each.offset for place, each in found.items() if each is not None}

    async def delete(self, topic: str, before: dict[int, int]) -> None:
        """Delete what lies before these offsets. Raises as `asking`."""
        async with self._asked() as (admin, _):
            cuts = {
                TopicPartition(topic, number): RecordsToDelete(offset) for number, offset in before.items()
            }
            await admin.delete_records(cuts)

    @asynccontextmanager
    async def _asked(self) -> AsyncIterator[tuple[AIOKafkaAdminClient, AIOKafkaConsumer]]:
        try:
            async with asking(self._settings.request_timeout_s):
                yield await self._open()
        except LogUnavailable:
            # A connection that failed once is not to be trusted (issue 1154: alive and stuck).
            await self.close()
            raise

    async def _open(self) -> tuple[AIOKafkaAdminClient, AIOKafkaConsumer]:
        async with self._opening:
            if self._admin is None:
                admin = AIOKafkaAdminClient(**connection(self._settings, "admin"))
                try:
                    await admin.start()
                except BaseException as error:
                    await admin.close()
                    if isinstance(error, KafkaConnectionError) and not self._known:
                        await explain_refusal(self._settings)
                    raise
                self._admin, self._known = admin, True
            if self._reader is None:
                reader = AIOKafkaConsumer(**connection(self._settings, "offsets"), enable_auto_commit=False)
                try:
                    await reader.start()
                except BaseException:
                    await cut_consumer(reader)
                    raise
                self._reader = reader
            return self._admin, self._reader
