"""One sum over what rules decided, whoever handled it since: what replays are compared by. Pure."""

import hashlib
from collections.abc import Iterable

import msgspec

from ioc.model.incidents import Incident


class Checksum(msgspec.Struct, frozen=True):
    """How many incidents, and the SHA-256 of what rules decided about them."""

    incidents: int
    sha256: str


def checksum(incidents: Iterable[Incident]) -> Checksum:
    """Return the sum of `incidents`, whatever their order.

    Into it go id, rule, key, place, title, evidence, and when each began, was detected and was cleared; not
    what people and the passing of time do to it: revision, handling, assignment, severity given by hand.
    """
    lines = sorted(
        msgspec.json.encode(
            [
                found.id,
                found.rule,
                found.key,
                found.category,
                found.title,
                found.why.evidence,
                found.why.event_ids,
                found.opened_us,
                found.detected_us,
                found.cleared_us,
                found.ward,
                found.source,
                found.lon,
                found.lat,
            ]
        )
        for found in incidents
    )
    return Checksum(len(lines), hashlib.sha256(b"\n".join(lines)).hexdigest())
