"""Logging in to the test broker over TLS, with exactly the rights that docs/operations.md names."""

import secrets

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from benchmarks.broker import KEY_PASSWORD, SCRAM_LOGINS, Access
from ioc.eventlog.kafka_settings import KafkaSecurity, KafkaSettings

USER, STRANGER = SCRAM_LOGINS
TOPIC_RIGHTS = (
    AclOperation.CREATE,
    AclOperation.DESCRIBE_CONFIGS,
    AclOperation.READ,
    AclOperation.WRITE,
    AclOperation.DELETE,
)
GROUP_RIGHTS = (AclOperation.READ,)
ANSWER_S = 30.0


def secure_settings(access: Access, user: str = USER) -> KafkaSettings:
    """Settings for the entrance that asks for TLS and a login, under a prefix not used before."""
    return KafkaSettings(
        bootstrap_servers=access.secure_address,
        prefix=f"t{secrets.token_hex(4)}.",
        replication=1,
        min_insync=1,
        security=KafkaSecurity(
            protocol="SASL_SSL",
            mechanism="SCRAM-SHA-512",
            username=user,
            password=SCRAM_LOGINS[user],
            ca_file=access.ca_file,
        ),
    )


def mutual_settings(access: Access) -> KafkaSettings:
    """Settings for the entrance that asks for a certificate of ours, under a prefix not used before."""
    return KafkaSettings(
        bootstrap_servers=access.mutual_address,
        prefix=f"t{secrets.token_hex(4)}.",
        replication=1,
        min_insync=1,
        security=KafkaSecurity(
            protocol="SSL",
            ca_file=access.ca_file,
            certificate_file=access.certificate_file,
            key_file=access.key_file,
            key_password=KEY_PASSWORD,
        ),
    )


def grant(
    access: Access,
    prefix: str,
    topic: tuple[AclOperation, ...] = TOPIC_RIGHTS,
    group: tuple[AclOperation, ...] = GROUP_RIGHTS,
) -> None:
    """Let `USER` do this with topics and groups whose names begin with `prefix`."""
    wanted = [(ResourceType.TOPIC, each) for each in topic] + [(ResourceType.GROUP, each) for each in group]
    bindings = [
        AclBinding(
            kind,
            prefix,
            ResourcePatternType.PREFIXED,
            f"User:{USER}",
            "*",
            operation,
            AclPermissionType.ALLOW,
        )
        for kind, operation in wanted
    ]
    admin = AdminClient({"bootstrap.servers": access.address})
    for done in admin.create_acls(bindings).values():
        done.result(ANSWER_S)
