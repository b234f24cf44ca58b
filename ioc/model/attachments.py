"""How a stream that we hold fares."""

from enum import StrEnum

import msgspec

from ioc.model.places import AttachKind


class AttachState(StrEnum):
    """The one word for it."""

    WAITING = "waiting"
    """Nobody holds it, or it failed and is tried again at `due`."""
    CONNECTING = "connecting"
    CONNECTED = "connected"
    REFUSED = "refused"
    """The camera does not take the login; a new login is tried at once, the same one seldom."""


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A device whose events are fetched, times in microseconds."""

    device_id: str
    kind: AttachKind
    url: str
    """Where the device is registered to be; without any login."""
    login_user: str | None = None
    state: AttachState = AttachState.WAITING
    changed_us: int | None = None
    """Since when it is so."""
    seen_us: int | None = None
    """When anything came last, be it a heartbeat."""
    connects: int = 0
    """How often it was connected: one less are the cuts, in which events of the camera were lost."""
    due_us: int | None = None
    """When it is tried again."""
    error: str | None = None
    """Why it is not connected, or was cut last."""
