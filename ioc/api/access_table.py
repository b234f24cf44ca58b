"""Which right opens which route: one line per route of the OpenAPI document, and per way into the feed.

`ioc/api/security.py` asks this table for every request of somebody known; the generated test in
`tests/unit/api/test_authorisation.py` takes its expected answers from it, so that a new route without a line
here fails. A token is further limited to its scopes; a route without a line or scope is closed to tokens.
"""

from enum import StrEnum
from typing import Final

import msgspec


class Right(StrEnum):
    """What a role may look at or do beyond the incidents and the map."""

    HISTORY = "history"
    QUARANTINE = "quarantine"
    RULES = "rules"
    RECEIVERS = "receivers"
    POLICIES = "policies"
    """Change who is responsible, how long things may take, and what belongs together."""
    REPORTS = "reports"
    """See what citizens told, answer them, and take apart what was put together as one report."""
    SUPERVISE = "supervise"
    """End incidents while steps of their procedure are open; lead a shift and hand it over."""
    SHIFTS = "shifts"
    """See shifts and the reports of their hand-over."""
    PERSONAL = "personal"
    """Unmask phone numbers, plates and what else is personal, for a reason that is recorded."""
    RAW = "raw"
    """See refused messages as they came, personal data and all, for a reason that is recorded."""
    PHOTOS = "photos"
    """Send pictures of what was found or done."""
    PUBLISH = "publish"
    """Show a picture to the public."""
    DEVICES = "devices"
    """See and change what is registered of devices, announce maintenance, take them out of service."""
    WORKBENCH = "workbench"
    """Change, try and explain rules."""


class Audience(StrEnum):
    """Who may knock at all."""

    EVERYBODY = "everybody"
    PERSON = "person"
    """Somebody known: by a session, or by a token with the scope."""
    DEVICE = "device"
    """A registered device, by its key (`ioc/ingest`)."""
    PARTNER = "partner"
    """A program of Open311, by a token with the scope in the form's `api_key` (`ioc/api/open311.py`)."""


class TokenScope(StrEnum):
    """What a token may be used for."""

    PLACES = "places"
    INCIDENTS_READ = "incidents:read"
    INCIDENTS_EXPORT = "incidents:export"
    """Incidents without anything personal, for other systems (`ioc/api/exports.py`), and nothing else."""
    INCIDENTS_WRITE = "incidents:write"
    HISTORY = "history"
    QUARANTINE = "quarantine"
    RULES = "rules"
    RECEIVERS = "receivers"
    REPORTS_WRITE = "reports:write"
    """Send citizens' reports by Open311."""
    WALL = "wall"
    """See the figures of a screen on a wall, and nothing else."""


class Door(msgspec.Struct, frozen=True):
    """What opens a route: the audience, the rights that a role needs, the scopes of which tokens need one."""

    audience: Audience
    rights: frozenset[Right] = frozenset()
    scopes: frozenset[TokenScope] = frozenset()


def _for(*scopes: TokenScope, rights: frozenset[Right] = frozenset()) -> Door:
    return Door(Audience.PERSON, rights, frozenset(scopes))


_EVERYBODY: Final = Door(Audience.EVERYBODY)
_DEVICE: Final = Door(Audience.DEVICE)
_SESSION: Final = Door(Audience.PERSON)
_READ: Final = _for(TokenScope.INCIDENTS_READ)
_EXPORT: Final = _for(TokenScope.INCIDENTS_READ, TokenScope.INCIDENTS_EXPORT)
_WRITE: Final = _for(TokenScope.INCIDENTS_WRITE)
_WALL: Final = _for(TokenScope.WALL)
_PLACES: Final = _for(TokenScope.PLACES)
_HISTORY: Final = _for(TokenScope.HISTORY, rights=frozenset({Right.HISTORY}))
_QUARANTINE: Final = _for(TokenScope.QUARANTINE, rights=frozenset({Right.QUARANTINE}))
_RULES: Final = _for(TokenScope.RULES, rights=frozenset({Right.RULES}))
_RECEIVERS: Final = _for(TokenScope.RECEIVERS, rights=frozenset({Right.RECEIVERS}))
_POLICIES: Final = Door(Audience.PERSON, frozenset({Right.POLICIES}))
_REPORTS: Final = _for(TokenScope.INCIDENTS_READ, rights=frozenset({Right.REPORTS}))
_ANSWER: Final = _for(TokenScope.INCIDENTS_WRITE, rights=frozenset({Right.REPORTS}))
_SHIFTS: Final = Door(Audience.PERSON, frozenset({Right.SHIFTS}))
_LEAD: Final = Door(Audience.PERSON, frozenset({Right.SHIFTS, Right.SUPERVISE}))
# A machine gives no reason: personal data is for people in a session of their own.
_PERSONAL: Final = Door(Audience.PERSON, frozenset({Right.PERSONAL}))
_RAW: Final = Door(Audience.PERSON, frozenset({Right.RAW, Right.QUARANTINE}))
_PHOTOS: Final = Door(Audience.PERSON, frozenset({Right.PHOTOS}))
_PUBLISH: Final = Door(Audience.PERSON, frozenset({Right.PUBLISH}))
_DEVICES: Final = Door(Audience.PERSON, frozenset({Right.DEVICES}))
_WORKBENCH: Final = Door(Audience.PERSON, frozenset({Right.WORKBENCH}))

ROUTES: Final[dict[str, Door]] = {
    "GET /healthz": _EVERYBODY,
    "GET /readyz": _EVERYBODY,
    # Anybody may knock; which networks and which token are let in is a matter of `MetricsDoor`.
    "GET /metrics": _EVERYBODY,
    "POST /api/v1/session": _EVERYBODY,
    "DELETE /api/v1/session": _EVERYBODY,
    "GET /api/v1/session": _SESSION,
    "GET /api/v1/session/options": _EVERYBODY,
    "GET /api/v1/session/oidc": _EVERYBODY,
    "GET /api/v1/session/oidc/callback": _EVERYBODY,
    "GET /api/v1/incidents": _READ,
    "GET /api/v1/incidents/{incident_id}": _READ,
    "GET /api/v1/incidents/{incident_id}/history": _READ,
    "GET /api/v1/incidents/{incident_id}/members": _READ,
    "GET /api/v1/incidents/{incident_id}/procedure": _READ,
    "POST /api/v1/incidents/{incident_id}/commands": _WRITE,
    "POST /api/v1/incidents/{incident_id}/unmask": _PERSONAL,
    "GET /api/v1/incidents/{incident_id}/photos": _READ,
    "GET /api/v1/export/incidents.datex2": _EXPORT,
    "GET /api/v1/export/incidents.cap": _EXPORT,
    "GET /api/v1/export/incidents.geojson": _EXPORT,
    "GET /api/v1/export/incidents.ngsi-ld": _EXPORT,
    "POST /api/v1/photos": _PHOTOS,
    "GET /api/v1/photos/{ref}": _SESSION,
    "POST /api/v1/photos/{ref}/release": _PUBLISH,
    "GET /api/v1/public/city": _EVERYBODY,
    "GET /api/v1/public/areas": _EVERYBODY,
    "POST /api/v1/public/photos": _EVERYBODY,
    "GET /api/v1/public/photos/{ref}": _EVERYBODY,
    "GET /api/v1/incidents/{incident_id}/reports": _REPORTS,
    "POST /api/v1/reports/{report_id}/answer": _ANSWER,
    "POST /api/v1/reports/{report_id}/separate": _ANSWER,
    "POST /api/v1/reports/{report_id}/unmask": _PERSONAL,
    "GET /api/v1/public/services": _EVERYBODY,
    "POST /api/v1/public/duplicates": _EVERYBODY,
    "POST /api/v1/public/reports": _EVERYBODY,
    "GET /api/v1/public/reports/{code}": _EVERYBODY,
    "POST /api/v1/public/reports/{code}/vote": _EVERYBODY,
    "GET /api/v1/public/board": _EVERYBODY,
    "GET /open311/v2/discovery.{kind}": _EVERYBODY,
    "GET /open311/v2/services.{kind}": _EVERYBODY,
    "GET /open311/v2/services/{service_code}.{kind}": _EVERYBODY,
    "GET /open311/v2/requests.{kind}": _EVERYBODY,
    "GET /open311/v2/requests/{request_id}.{kind}": _EVERYBODY,
    "GET /open311/v2/tokens/{token}.{kind}": _EVERYBODY,
    "POST /open311/v2/requests.{kind}": Door(Audience.PARTNER, scopes=frozenset({TokenScope.REPORTS_WRITE})),
    "GET /api/v1/forecast": _READ,
    "GET /api/v1/kpis": _READ,
    "GET /api/v1/kpis/definitions": _READ,
    "GET /api/v1/kpis/export": _READ,
    "GET /api/v1/kpis/{figure}/series": _READ,
    "GET /api/v1/kpis/{figure}/incidents": _READ,
    "GET /api/v1/warnings": _READ,
    "GET /api/v1/wall": _WALL,
    "GET /api/v1/policies": _SESSION,
    "GET /api/v1/policies/{name}/versions": _SESSION,
    "PUT /api/v1/policies/{name}": _POLICIES,
    "POST /api/v1/policies/preview": _POLICIES,
    "GET /api/v1/shifts": _SHIFTS,
    "POST /api/v1/shifts": _LEAD,
    "GET /api/v1/shifts/current": _SHIFTS,
    "POST /api/v1/shifts/{shift_id}/commands": _LEAD,
    "GET /api/v1/shifts/{shift_id}/report": _SHIFTS,
    "GET /api/v1/city": _PLACES,
    "GET /api/v1/areas": _PLACES,
    "GET /api/v1/devices": _PLACES,
    "GET /api/v1/devices/health": _PLACES,
    "GET /api/v1/registry/devices": _DEVICES,
    "GET /api/v1/registry/devices/{device_id}": _DEVICES,
    "PUT /api/v1/registry/devices/{device_id}": _DEVICES,
    "DELETE /api/v1/registry/devices/{device_id}": _DEVICES,
    "POST /api/v1/registry/devices/{device_id}/disable": _DEVICES,
    "POST /api/v1/registry/devices/{device_id}/enable": _DEVICES,
    "PUT /api/v1/registry/devices/{device_id}/login": _DEVICES,
    "DELETE /api/v1/registry/devices/{device_id}/login": _DEVICES,
    "GET /api/v1/registry/attachments": _DEVICES,
    "GET /api/v1/registry/devices/{device_id}/keys": _DEVICES,
    "POST /api/v1/registry/devices/{device_id}/keys": _DEVICES,
    "POST /api/v1/registry/import": _DEVICES,
    "GET /api/v1/registry/export": _DEVICES,
    "GET /api/v1/registry/maintenance": _DEVICES,
    "POST /api/v1/registry/devices/{device_id}/maintenance": _DEVICES,
    "DELETE /api/v1/registry/maintenance/{window_id}": _DEVICES,
    "GET /api/v1/cameras/{camera_id}/picture": _SESSION,
    "GET /api/v1/history/moment": _HISTORY,
    "GET /api/v1/history/{stream}": _HISTORY,
    "GET /api/v1/history/{stream}/series": _HISTORY,
    "GET /api/v1/playback/states": _HISTORY,
    "GET /api/v1/playback/incidents": _HISTORY,
    "GET /api/v1/playback/histogram": _HISTORY,
    "GET /api/v1/quarantine": _QUARANTINE,
    "POST /api/v1/quarantine/{message_id}/unmask": _RAW,
    "GET /api/v1/rules": _RULES,
    "GET /api/v1/rules/{rule}/shadow": _RULES,
    "GET /api/v1/workbench/schema": _WORKBENCH,
    "GET /api/v1/workbench/rules": _WORKBENCH,
    "GET /api/v1/workbench/rules/{rule}": _WORKBENCH,
    "GET /api/v1/workbench/rules/{rule}/history": _WORKBENCH,
    "POST /api/v1/workbench/rules/{rule}/switch": _WORKBENCH,
    "POST /api/v1/workbench/check": _WORKBENCH,
    "POST /api/v1/workbench/test": _WORKBENCH,
    "POST /api/v1/workbench/backtests": _WORKBENCH,
    "GET /api/v1/workbench/backtests/{job}": _WORKBENCH,
    "DELETE /api/v1/workbench/backtests/{job}": _WORKBENCH,
    "POST /api/v1/workbench/push": _WORKBENCH,
    "POST /api/v1/workbench/why": _WORKBENCH,
    "GET /api/v1/receivers": _RECEIVERS,
    "PUT /api/v1/receivers/{receiver_id}": _RECEIVERS,
    "DELETE /api/v1/receivers/{receiver_id}": _RECEIVERS,
    "POST /api/v1/receivers/{receiver_id}/secret": _RECEIVERS,
    "GET /api/v1/receivers/{receiver_id}/deliveries": _RECEIVERS,
    "POST /api/v1/receivers/{receiver_id}/deliveries/resend": _RECEIVERS,
    "GET /api/v1/notices": _SESSION,
    "POST /api/v1/notices/read": _SESSION,
    "POST /api/v1/ingest/events": _DEVICE,
    "POST /api/v1/ingest/clock": _DEVICE,
    "POST /api/v1/ingest/hooks/{key}": _DEVICE,
    "POST /api/v1/ingest/hooks/{key}/{rest}": _DEVICE,
    # Not in the OpenAPI document: the live feed and its one-way twin.
    "WEBSOCKET /api/v1/feed": _SESSION,
    "GET /api/v1/feed/sse": _SESSION,
}
