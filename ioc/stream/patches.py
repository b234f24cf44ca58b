"""What an incident's revision changes on the one before, for clients that must hold that one (pure).

A client holds the newest revision if it was given it as a change or, where the incident is open, by its
snapshot. So there is nothing for a revision

    - in another ward than the one before: whoever sees only the new ward never had it;
    - of an incident that had ended: snapshots leave these out after a while;
    - whose predecessor was not read, or was forgotten because there are too many.
"""

from collections import OrderedDict
from typing import Final, NamedTuple

import msgspec

from ioc.model.incidents import Incident

_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Base(NamedTuple):
    """A revision as it was sent."""

    rev: int
    ward: str | None
    whole: msgspec.Raw


class Bases:
    """The newest revision of every open incident, at most `most`; the one unchanged longest gives way."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._bases: OrderedDict[str, _Base] = OrderedDict()

    def put(self, incident: Incident, whole: msgspec.Raw) -> None:
        """Take `incident`, encoded as `whole`, for its newest revision."""
        self._bases.pop(incident.id, None)
        if incident.is_open:
            self._bases[incident.id] = _Base(incident.rev, incident.ward, whole)
            if len(self._bases) > self._most:
                self._bases.popitem(last=False)

    def step(self, incident: Incident, whole: msgspec.Raw) -> msgspec.Raw | None:
        """Put `incident`; return its id and the fields that differ from the revision before.

        None when a client that may see it might not have that revision.
        """
        base = self._bases.get(incident.id)
        self.put(incident, whole)
        if base is None or base.rev != incident.rev - 1 or base.ward != incident.ward:
            return None
        old, new = _FIELDS.decode(base.whole), _FIELDS.decode(whole)
        changed = {name: value for name, value in new.items() if old.get(name) != value}
        return msgspec.Raw(msgspec.json.encode({"id": new["id"], **changed}))
