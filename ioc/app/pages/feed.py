"""Writes `docs/feed.asyncapi.json` and `docs/feed.md` from the wire types; a test keeps both true.

The console's TypeScript types are made from the document (`npm run wire` in `dashboards/console`).
"""

import inspect
import json
from typing import Any, Final, get_args

import msgspec

from ioc import __version__
from ioc.app.pages import DOCS
from ioc.stream.devices import MAX_CHANGES
from ioc.stream.session import SessionLimits
from ioc.stream.wire import (
    CLOSE_RULES,
    SUBPROTOCOL,
    ChangeEvent,
    ClientFrame,
    Departed,
    EntityState,
    IncidentJson,
    ServerFrame,
)

DOCUMENT: Final = DOCS / "feed.asyncapi.json"
PAGE: Final = DOCS / "feed.md"
ADDRESS: Final = "/api/v1/feed"
_REF: Final = "#/components/schemas/{name}"

_DIFFERENCE: Final = "IncidentPatch"

# Parts that frames hold encoded already: what stands there.
_INSIDE: Final[dict[tuple[str, str], tuple[bool, list[str]]]] = {
    ("Snap", "items"): (True, [IncidentJson.__name__]),
    ("Ev", "events"): (True, [ChangeEvent.__name__]),
    ("State", "set"): (True, [EntityState.__name__]),
    ("ChangeEvent", "incident"): (False, [IncidentJson.__name__, Departed.__name__, _DIFFERENCE]),
}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": _REF.format(name=name)}


def schemas() -> dict[str, Any]:
    """Return the schema of every frame and part of one, by name (JSON Schema draft 07, as in AsyncAPI)."""
    frames = [*get_args(ClientFrame), *get_args(ServerFrame)]
    parts = [IncidentJson, ChangeEvent, Departed, EntityState]
    _, found = msgspec.json.schema_components([*dict.fromkeys(frames), *parts], ref_template=_REF)
    found[_DIFFERENCE] = found[IncidentJson.__name__] | {
        "title": _DIFFERENCE,
        "description": "What a revision changes: its id, and each field whose value is another (or null).",
        "required": ["id", "rev"],
    }
    for (name, field), (listed, names) in _INSIDE.items():
        inside = _ref(names[0]) if len(names) == 1 else {"anyOf": [_ref(each) for each in names]}
        found[name]["properties"][field] = {"type": "array", "items": inside} if listed else inside
    for schema in found.values():
        schema["description"] = inspect.cleandoc(schema.get("description", ""))
    older: dict[str, Any] = _older(dict(sorted(found.items())))
    return older


def _older(schema: Any) -> Any:
    """Return `schema` with tuples as draft 07 writes them."""
    if isinstance(schema, list):
        return [_older(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inside = {key: _older(value) for key, value in schema.items()}
    if "prefixItems" in inside:
        inside |= {"items": inside.pop("prefixItems"), "additionalItems": False}
    return inside


def document() -> dict[str, Any]:
    """Return the AsyncAPI 3.1 document of the feed."""
    sent, received = get_args(ClientFrame), get_args(ServerFrame)
    both = dict.fromkeys([*sent, *received])
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "Live feed of incidents and of the latest from cameras and detectors",
            "version": __version__,
            "description": f"WebSocket subprotocol `{SUBPROTOCOL}`; docs/feed.md says how a client behaves.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "feed": {
                "address": ADDRESS,
                "description": "One socket; frames are told apart by `type`.",
                "messages": {
                    each.__name__: {"$ref": f"#/components/messages/{each.__name__}"} for each in both
                },
                "bindings": {
                    "ws": {
                        "method": "GET",
                        "headers": {
                            "type": "object",
                            "properties": {"Sec-WebSocket-Protocol": {"const": SUBPROTOCOL}},
                            "required": ["Sec-WebSocket-Protocol"],
                        },
                        "bindingVersion": "0.1.0",
                    }
                },
            }
        },
        "operations": {
            "fromClient": _operation("receive", "What a client says.", sent),
            "toClient": _operation("send", "What the service says.", received),
        },
        "components": {
            "messages": {each.__name__: _message(each) for each in both},
            "schemas": schemas(),
        },
    }


def _operation(action: str, summary: str, frames: tuple[type, ...]) -> dict[str, Any]:
    return {
        "action": action,
        "summary": summary,
        "channel": {"$ref": "#/channels/feed"},
        "messages": [{"$ref": f"#/channels/feed/messages/{each.__name__}"} for each in frames],
    }


def _message(frame: type[msgspec.Struct]) -> dict[str, Any]:
    return {
        "name": str(frame.__struct_config__.tag),
        "summary": (frame.__doc__ or "").partition("\n")[0],
        "payload": _ref(frame.__name__),
    }


_WORDS: Final = """# Live feed

Generated by `python -m ioc.app.pages.feed` from `ioc/stream/wire.py`; a test keeps it true. Every frame's
fields are in [feed.asyncapi.json](feed.asyncapi.json) (AsyncAPI 3.1; it has one channel, frames differ by
`type`).

A client opens a WebSocket at `{address}` with the subprotocol `{subprotocol}` and the session's cookie. A
page of another origin gets nothing. Only additive changes within v1: ignore fields and frame types that
you do not know.

## A client's life

1. Send `hello`, within {hello_s:.0f} s; with `resume` if you know a position from before.
2. `welcome` says how you are brought up to date. `snapshot`: `snap` pages until `last`, which together
   replace whatever you had. `resume`: the changes since your position.
3. `ev` frames follow. `from` is your last `to` plus one; what you may not see is skipped without a gap.
   If it is not, close and resume. Apply a change when its `rev` is above the one you know; `del` means
   that it left your wards. With `caps: ["patch"]` in `hello`, a change of an incident that you must hold
   comes as `patch`: the fields that differ from revision `rev` - 1, each whole. If you hold another revision,
   or none, do not guess: come back with `lost: "base"` and without `resume`. It is counted; you are given a
   snapshot, and whole incidents for as long as that connection lasts.
4. `reset` may come at any time: forget everything, a snapshot follows.
5. `state` frames carry the latest of cameras and detectors within your `view`, widened to tiles of an eighth
   to a quarter of it, and nothing anew while it moves inside the same ones; `conflated` counts values
   that were replaced before they reached you. This lane may skip, the one of incidents never does.
6. With `caps: ["devices"]` in `hello`, `devices` frames keep the list of `GET /api/v1/devices` true: what one
   `version` of the register changes of the one `before`, within your wards, about two seconds after the
   change. Read the list again where you hold another version than `before`, or it is null since more than
   {device_changes} devices changed at once; spread that over a few seconds. The first frame, once you are
   up to date, changes nothing and tells the version in force (`before` is `version`), so nothing is missed
   while you were away.
7. Any frame shows that the link lives. After {hb_s:.0f} s of silence either side sends `ping`; a client
   that hears nothing for longer reconnects, and one that says nothing for three of them is closed.
8. A client may `ping` with `delays`: how old changes were when it had applied them, since it last said.
   Every pong tells the service's time; set by it, a clock is wrong by half of what lay between ping and pong
   at most. What cannot be true (over an hour, a median above the 99th of a hundred) is ignored and counted.
9. `auth` has the session looked at again at once, with a newer token if you have one.

`{address}/sse` is the read-only twin for boards and for proxies that block WebSockets: the same frames as
server-sent events, `id: epoch:offset` resumes.

## Lanes

`control` (welcome, reset, notice, devices, ping, pong, bye) is never throttled. `incident` (snap, ev) is
ordered, resumable and never trimmed: when more than {outbox_kb} kB or changes older than {outbox_s:.0f} s
wait for a client, it is closed as `slow` and resumes. `state` holds one value per entity.

## Close codes

A `bye` with the same code precedes the close wherever the socket still takes it. `reconnect` false means
that trying again cannot help: log in (4401), or mend the client.

| code | reason | reconnect | after |
| --- | --- | --- | --- |
"""


def page() -> str:
    """Return the text of `docs/feed.md`."""
    limits = SessionLimits()
    words = _WORDS.format(
        device_changes=MAX_CHANGES,
        address=ADDRESS,
        subprotocol=SUBPROTOCOL,
        hello_s=limits.hello_us / 1e6,
        hb_s=limits.hb_ms / 1e3,
        outbox_kb=limits.outbox_bytes // 1024,
        outbox_s=limits.outbox_age_us / 1e6,
    )
    rows = [
        f"| {rule.code} | {rule.reason} | {'yes' if rule.reconnect else 'no'} | {rule.after_ms / 1000:g} s |"
        for rule in CLOSE_RULES.values()
    ]
    rows.append("| 1009 | a message above 64 kB | no | 0 s |")
    return words + "\n".join(rows) + "\n"


def document_text() -> str:
    """Return the text of `docs/feed.asyncapi.json`."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document_text(), "utf-8")
    PAGE.write_text(page(), "utf-8")
