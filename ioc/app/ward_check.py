"""Whether a ward that somebody names is there, once wards are imported at all."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from ioc.geo.index import WARD
from ioc.model.times import CITY_ZONE
from ioc.rules.errors import did_you_mean
from ioc.store.areas import read_areas


async def known_wards(connection: AsyncConnection[Any]) -> frozenset[str]:
    """Return the codes of the wards that are or will be in force; none where none are imported."""
    today = datetime.now(CITY_ZONE).date().isoformat()
    wards = await read_areas(connection, WARD)
    return frozenset(ward.code for ward in wards if ward.valid_to is None or ward.valid_to > today)


def unknown_wards(wards: Iterable[str], known: Collection[str]) -> list[str]:
    """Return one sentence for each of `wards` that is not there; nothing where no wards are imported."""
    if not known:
        return []
    found = []
    for ward in sorted(set(wards) - set(known)):
        hint = did_you_mean(ward, known)
        found.append(
            f"ward {ward!r} is not among the {len(known)} imported wards" + (f" ({hint})" if hint else "")
        )
    return found
