"""TLS, SCRAM and access lists of a real broker: what is right works, what is wrong says what to do next."""

from pathlib import Path

import pytest
import trustme
from confluent_kafka.admin import AclOperation
from msgspec import structs

from benchmarks.broker import Access
from ioc.app.cli.errors import expected_in
from ioc.eventlog.kafka_settings import KafkaSettings
from ioc.eventlog.kafka_topics import Wanted, differences, kept_for_a_time
from ioc.eventlog.port import LogError, LogRejected, LogUnavailable
from ioc.store.embedded import Dsns
from tests.integration.eventlog.kafka_access import (
    STRANGER,
    TOPIC_RIGHTS,
    grant,
    mutual_settings,
    secure_settings,
)
from tests.integration.eventlog.kafka_city import PARTITIONS, TOPIC, events, read_names, running_log


def with_security(settings: KafkaSettings, **changes: object) -> KafkaSettings:
    return structs.replace(settings, security=structs.replace(settings.security, **changes))


async def opening(database: Dsns, settings: KafkaSettings) -> None:
    async with running_log(database, settings):
        pass


async def test_a_wrong_password_and_an_unknown_user_name_the_settings(
    database: Dsns, own_kafka: Access
) -> None:
    right = secure_settings(own_kafka)
    for changes in ({"password": "guessed"}, {"username": "nobody"}):
        with pytest.raises(LogRejected, match=r"check log\.username, log\.password and log\.sasl_mechanism"):
            await opening(database, with_security(right, **changes))


async def test_a_mechanism_that_the_broker_does_not_offer_is_named(database: Dsns, own_kafka: Access) -> None:
    with pytest.raises(LogRejected, match=r"log\.sasl_mechanism"):
        await opening(database, with_security(secure_settings(own_kafka), mechanism="SCRAM-SHA-256"))


async def test_an_authority_that_did_not_sign_the_certificate_is_not_trusted(
    database: Dsns, own_kafka: Access, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    for ca_file in (other, None):  # another authority, or those of the system
        with pytest.raises(LogRejected, match=r"is not trusted: .*; set log\.tls_ca"):
            await opening(database, with_security(secure_settings(own_kafka), ca_file=ca_file))


async def test_tls_where_the_broker_has_none_and_none_where_it_has_say_so(
    database: Dsns, own_kafka: Access
) -> None:
    plain = structs.replace(secure_settings(own_kafka), bootstrap_servers=own_kafka.address)
    with pytest.raises(LogUnavailable, match=r"ends the connection; check log\.security"):
        await opening(database, plain)
    bare = with_security(secure_settings(own_kafka), protocol="SASL_PLAINTEXT")
    with pytest.raises(LogUnavailable, match=r"ends the connection; check log\.security"):
        await opening(database, bare)


async def test_a_user_without_any_grant_is_told_where_the_rights_are_listed(
    database: Dsns, own_kafka: Access
) -> None:
    with pytest.raises(LogRejected, match=r"grant our user what docs/operations\.md names"):
        await opening(database, secure_settings(own_kafka, STRANGER))


@pytest.mark.parametrize("missing", TOPIC_RIGHTS)
async def test_every_right_on_topics_that_is_asked_for_is_needed(
    database: Dsns, own_kafka: Access, missing: AclOperation
) -> None:
    settings = secure_settings(own_kafka)
    grant(own_kafka, settings.prefix, tuple(each for each in TOPIC_RIGHTS if each != missing))
    assert "grant our user what docs/operations.md names" in await complaint(database, settings)


async def test_without_its_groups_right_a_consumer_says_so(database: Dsns, own_kafka: Access) -> None:
    settings = secure_settings(own_kafka)
    grant(own_kafka, settings.prefix, group=())
    assert "grant our user what docs/operations.md names" in await complaint(database, settings)


async def test_a_certificate_of_ours_is_shown_and_counts_as_our_login(
    database: Dsns, own_kafka: Access
) -> None:
    settings = mutual_settings(own_kafka)
    grant(own_kafka, settings.prefix)
    await use_everything(database, settings)


async def test_a_certificate_without_grants_is_told_where_the_rights_are_listed(
    database: Dsns, own_kafka: Access
) -> None:
    with pytest.raises(LogRejected, match=r"grant our user what docs/operations\.md names"):
        await opening(database, mutual_settings(own_kafka))


async def test_no_certificate_and_one_of_another_authority_are_refused_by_name(
    database: Dsns, own_kafka: Access, tmp_path: Path
) -> None:
    right = mutual_settings(own_kafka)
    with pytest.raises(LogRejected, match=r"asks for a certificate.*; set log\.tls_certificate"):
        await opening(database, with_security(right, certificate_file=None, key_file=None))
    stranger = trustme.CA().issue_cert("ioc-service", common_name="ioc-service")
    files = {"certificate_file": tmp_path / "other.pem", "key_file": tmp_path / "other.key"}
    stranger.cert_chain_pems[0].write_to_path(files["certificate_file"])
    stranger.private_key_pem.write_to_path(files["key_file"])
    with pytest.raises(LogRejected, match=r"does not take our certificate.*; set log\.tls_certificate"):
        await opening(database, with_security(right, key_password="", **files))


async def test_a_key_with_another_password_is_told_before_anything_is_asked(
    database: Dsns, own_kafka: Access
) -> None:
    for password in ("", "guessed"):  # without one, nobody is asked at a terminal
        with pytest.raises(OSError):
            await opening(database, with_security(mutual_settings(own_kafka), key_password=password))


async def test_a_password_that_is_changed_while_we_run_is_waited_out(
    database: Dsns, own_kafka: Access
) -> None:
    settings = secure_settings(own_kafka)
    grant(own_kafka, settings.prefix)
    async with running_log(database, settings) as log:
        await log.append(TOPIC, events("a"))
        await log._cluster.close()
        log._cluster._settings = with_security(settings, password="old")
        with pytest.raises(LogUnavailable):
            await log.ends(TOPIC)
        log._cluster._settings = settings
        assert sum((await log.ends(TOPIC)).values()) == 1


async def complaint(database: Dsns, settings: KafkaSettings) -> str:
    """Return what a command would show where Kafka refuses us."""
    with pytest.raises((LogError, ExceptionGroup)) as caught:
        await use_everything(database, settings)
    return "\n".join(map(str, expected_in(caught.value) or ()))


async def use_everything(database: Dsns, settings: KafkaSettings) -> None:
    """Do what the service does with a log of its own."""
    async with running_log(database, settings) as log:
        await log.append(TOPIC, events("a"))
        async with log.consume(TOPIC, "store", "one") as consumer:
            assert await read_names(consumer, 1) == ["a"]
        wanted = Wanted(TOPIC, PARTITIONS, kept_for_a_time(settings, log.settings.never_beyond_s))
        assert await differences(settings, [wanted]) == []
        assert await log.retain(TOPIC, 2**60) == 1
