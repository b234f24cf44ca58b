"""Citizens' reports for programs of Open311: words masked, places no nearer than the public board tells."""

from collections.abc import Callable

from ioc.api.citizen_ports import PublicRequest
from ioc.api.georeport_input import RequestQuery
from ioc.app.citizens.public_board import PLACE_DIGITS
from ioc.incidents.citizens import ReportStatus, status_of
from ioc.incidents.policies import Policies
from ioc.store.public_requests import RequestRow, read_by_ids, read_by_time
from ioc.store.row_scope import SERVICE, ScopedPool
from ioc.stream.masking import mask_words


class StoredRequests:
    """`ioc.api.citizen_ports.PublicRequests` over PostgreSQL."""

    def __init__(self, pool: ScopedPool, policies: Callable[[], Policies]) -> None:
        self._pool = pool.of(SERVICE)
        self._policies = policies

    async def find(self, query: RequestQuery) -> list[PublicRequest]:
        """Return what is asked for, the latest first."""
        async with self._pool.connection() as connection:
            if query.ids:
                found = await read_by_ids(connection, query.ids)
            else:
                both = len(query.statuses) > 1
                found = await read_by_time(
                    connection,
                    query.start,
                    query.end,
                    services=query.services,
                    finished=None if both else "closed" in query.statuses,
                    limit=query.page_size,
                    offset=(query.page - 1) * query.page_size,
                )
        names = self._policies().ward_names
        return [_public(row, names.get(row.ward or "")) for row in found]


def _public(row: RequestRow, ward: str | None) -> PublicRequest:
    return PublicRequest(
        id=row.id,
        service=row.service,
        text=mask_words(row.text),
        status=status_of(row.handling) if row.handling else ReportStatus.RECEIVED,
        received=row.received,
        updated=row.updated,
        due=row.due,
        ward=ward,
        team=row.team,
        lon=None if row.lon is None else round(row.lon, PLACE_DIGITS),
        lat=None if row.lat is None else round(row.lat, PLACE_DIGITS),
        photo=row.photo,
    )
