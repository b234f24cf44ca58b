"""Which ward and which team an incident belongs to, and what another map or table would change."""

from collections.abc import Iterable
from typing import Protocol

import msgspec

from ioc.incidents.policies import AuthorityTable, Responsible, nearness_of
from ioc.model.incidents import Incident


class WardMap(Protocol):
    """Boundaries of one day; `ioc.geo.index.AreaIndex` is one."""

    def ward_of(self, lon: float, lat: float) -> str | None:
        """Return the ward at a position, None outside all of them."""


def team_of(table: AuthorityTable, category: str, ward: str | None, ward_names: dict[str, str]) -> str:
    """Return the team that answers for `category` in `ward`.

    A row that names both decides before one that names the category, that before one that names what the
    category belongs to, that before one that names the ward, that before one that names neither; among equals
    the first. A row whose team is called after its ward does not apply where the ward has no name.
    """
    name = ward_names.get(ward or "", "")
    best: Responsible | None = None
    best_rank = -1
    for row in table.rows:
        near = nearness_of(row.category, category)
        if near is None or (row.wards is not None and ward not in row.wards):
            continue
        if "{ward}" in row.team and not name:
            continue
        rank = 2 * near + (row.wards is not None)
        if rank > best_rank:
            best, best_rank = row, rank
    return best.team.replace("{ward}", name) if best else table.fallback


class Rerouted(msgspec.Struct, frozen=True, kw_only=True):
    """What would change for one open incident. `ward` None: it would belong to no ward."""

    incident_id: str
    severity: str
    category: str
    ward_before: str | None
    ward: str | None
    team_before: str | None
    team: str


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What other boundaries or another table would do to the open incidents."""

    looked_at: int
    changed: tuple[Rerouted, ...]
    homeless: int
    """How many of `changed` would belong to no ward: somebody must see to them."""


def preview(
    incidents: Iterable[Incident], table: AuthorityTable, ward_names: dict[str, str], wards: WardMap | None
) -> Preview:
    """Return what changes under `table` and, where given, the boundaries `wards`.

    A place decides the ward; an incident without one keeps its ward as long as that is on the map.
    Incidents merged into others follow these and are not looked at.

    Args:
        incidents: the open ones.
        table: who would be responsible.
        ward_names: names of the wards that there would be, by code.
        wards: boundaries that would hold; None leaves every incident in its ward.
    """
    changed: list[Rerouted] = []
    looked_at = 0
    for incident in incidents:
        looked_at += 1
        ward = incident.ward if wards is None else ward_under(incident, ward_names, wards)
        team = team_of(table, incident.category, ward, ward_names)
        if ward != incident.ward or team != incident.team:
            changed.append(
                Rerouted(
                    incident_id=incident.id,
                    severity=str(incident.severity),
                    category=incident.category,
                    ward_before=incident.ward,
                    ward=ward,
                    team_before=incident.team,
                    team=team,
                )
            )
    homeless = sum(item.ward is None and item.ward_before is not None for item in changed)
    return Preview(looked_at=looked_at, changed=tuple(changed), homeless=homeless)


def ward_under(incident: Incident, ward_names: dict[str, str], wards: WardMap) -> str | None:
    """Return the ward an incident belongs to under the boundaries `wards`."""
    if incident.lon is not None and incident.lat is not None:
        return wards.ward_of(incident.lon, incident.lat)
    return incident.ward if incident.ward in ward_names else None
