"""Subscriptions at a context broker: what to post where, for NGSI-LD and for NGSIv2. Pure."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

INGEST_PATH: Final = "/api/v1/ingest/events"
VERSIONS: Final = ("ld", "2")


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A request to a broker. A broker answers 201, and `Location` ends with the subscription's id."""

    path: str
    media: str
    body: dict[str, Any]


def subscription(version: str, types: Sequence[str], url: str, key: str, description: str) -> Subscription:
    """Return the request that makes a broker notify us.

    Args:
        version: one of `VERSIONS`.
        types: entity types.
        url: where this service is reached, without a path.
        key: the device's key, which the broker sends along.
    """
    endpoint, authorization = url.rstrip("/") + INGEST_PATH, f"Bearer {key}"
    if version == "2":
        return Subscription(
            path="/v2/subscriptions",
            media="application/json",
            body={
                "description": description,
                "subject": {"entities": [{"idPattern": ".*", "type": kind} for kind in types]},
                "notification": {
                    "httpCustom": {"url": endpoint, "headers": {"Authorization": authorization}},
                    "attrsFormat": "normalized",
                },
            },
        )
    return Subscription(
        path="/ngsi-ld/v1/subscriptions",
        media="application/json",
        body={
            "type": "Subscription",
            "description": description,
            "entities": [{"type": kind} for kind in types],
            "notification": {
                "format": "normalized",
                "endpoint": {
                    "uri": endpoint,
                    "accept": "application/json",
                    "receiverInfo": [{"key": "Authorization", "value": authorization}],
                },
            },
        },
    )
