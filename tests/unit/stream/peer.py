"""A client that follows the protocol to the letter and complains about every breach."""

import json
from typing import Any

from ioc.stream.wire import Frame


class Peer:
    """What a console knows, from frames alone."""

    def __init__(self, *caps: str) -> None:
        self.caps = caps
        self.patches = 0
        self.incidents: dict[str, dict[str, Any]] = {}
        self.states: dict[str, dict[str, Any]] = {}
        self.applied: list[tuple[str, int]] = []
        self.cursor: tuple[str, int] | None = None
        self.bye: dict[str, Any] | None = None
        self.welcome: dict[str, Any] | None = None
        self.frames: list[dict[str, Any]] = []
        self.conflated = 0
        self.wards_given: set[str | None] = set()
        """Of everything received since the connection began."""
        self._pages: dict[str, dict[str, Any]] | None = None

    def reconnect(self) -> None:
        self.bye = self.welcome = None
        self._pages = None
        self.wards_given = set()
        # The state lane has no past: whoever comes is given everything.
        self.states = {}

    @property
    def hello(self) -> str:
        resume = {"epoch": self.cursor[0], "offset": self.cursor[1]} if self.cursor else None
        hello = {"type": "hello", "client": "test", "lang": "vi", "resume": resume, "caps": self.caps}
        return json.dumps(hello)

    def take(self, frames: list[Frame]) -> None:
        for frame in frames:
            assert frame.size == len(frame.text.encode())
            message = json.loads(frame.text)
            assert self.bye is None, "nothing follows a bye"
            self.frames.append(message)
            getattr(self, f"_on_{message['type']}")(message)

    def _on_welcome(self, message: dict[str, Any]) -> None:
        assert self.welcome is None
        self.welcome = message

    def _on_reset(self, message: dict[str, Any]) -> None:
        self.incidents, self.cursor, self._pages = {}, None, None
        self.applied.clear()

    def _on_snap(self, message: dict[str, Any]) -> None:
        assert self.welcome is not None
        if message["page"] == 0:
            self._pages = {}
        assert self._pages is not None
        self._pages |= {item["id"]: item for item in message["items"]}
        self.wards_given |= {item["ward"] for item in message["items"]}
        if message["last"]:
            self.incidents, self._pages = self._pages, None
            self.applied = [(item["id"], item["rev"]) for item in self.incidents.values()]
            self.cursor = (message["epoch"], message["offset"])

    def _on_ev(self, message: dict[str, Any]) -> None:
        assert self.cursor is not None, "changes need something they change"
        assert self._pages is None, "a snapshot is finished before changes come"
        assert message["epoch"] == self.cursor[0]
        assert message["from"] == self.cursor[1] + 1, "no gap"
        assert message["to"] >= message["from"]
        self.cursor = (message["epoch"], message["to"])
        previous = message["from"] - 1
        for event in message["events"]:
            assert previous < event["o"] <= message["to"]
            previous = event["o"]
            self._apply(event)

    def _apply(self, event: dict[str, Any]) -> None:
        item = event["incident"]
        known = self.incidents.get(item["id"])
        if known is not None and event["rev"] <= known["rev"]:
            return
        if event["op"] == "del":
            self.incidents.pop(item["id"], None)
        else:
            if event["op"] == "patch":
                assert "patch" in self.caps, "nobody is given patches unasked"
                assert known is not None and known["rev"] == event["rev"] - 1, "a patch needs its base"
                assert all(known[name] != value for name, value in item.items() if name != "id")
                self.patches += 1
                item = known | item
            self.wards_given.add(item["ward"])
            self.incidents[item["id"]] = item
            self.applied.append((item["id"], item["rev"]))

    def _on_state(self, message: dict[str, Any]) -> None:
        self.conflated += message["conflated"]
        for state in message["set"]:
            self.wards_given.add(state["ward"])
            self.states[state["id"]] = state
        for entity_id in message["del"]:
            self.states.pop(entity_id, None)

    def _on_bye(self, message: dict[str, Any]) -> None:
        self.bye = message

    def _on_notice(self, message: dict[str, Any]) -> None:
        pass

    def _on_ping(self, message: dict[str, Any]) -> None:
        pass

    def _on_pong(self, message: dict[str, Any]) -> None:
        pass
