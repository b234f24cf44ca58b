"""The running service with hands: raises incidents and acts as another person through the public API."""

import itertools
import json
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx

from benchmarks.service import Service

RAISE_TIMEOUT_S = 20.0
COMMAND_TRIES = 3
"""A rule may add figures between the look at an incident and the command."""

FEWEST_CAMERAS = 3
"""In every ward of the demo."""
ENDED = {"resolved", "closed", "rejected", "merged"}


class City:
    """A service without simulators: nothing happens in it but what a test makes happen."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.url = service.url
        self._cameras: defaultdict[str, Iterator[int]] = defaultdict(lambda: itertools.count(1))
        self._cookies: dict[str, dict[str, str]] = {}
        self._incident = ""

    def headers(self, user: str) -> dict[str, str]:
        """Return the headers of a logged-in user; one session per user is enough."""
        if user not in self._cookies:
            self._cookies[user] = self.service.login(user)
        return self._cookies[user]

    def forget(self, user: str) -> None:
        """Let the next `headers` of a user begin a session of its own."""
        self._cookies.pop(user, None)

    def password(self, user: str) -> str:
        """Return a demo user's password."""
        logins: dict[str, str] = json.loads((self.service.data / "demo" / "logins.json").read_text())
        return logins[user]

    def send_wrong_way(self, source: str) -> None:
        """Let a camera report a vehicle that drives the wrong way, through its ward's gateway."""
        event = {
            "specversion": "1.0",
            "id": str(uuid.uuid4()),
            "source": source,
            "type": "camera.alarm",
            "time": datetime.now(UTC).isoformat(),
            "data": {"kind": "wrong_way", "confidence": 0.93, "active": True},
        }
        answer = self.service.ingest(json.dumps(event).encode(), self.service.device_key(f"gw-{source[4:9]}"))
        assert answer.json()["accepted"] == 1, answer.text

    def raise_incident(self, ward: str = "25747") -> str:
        """Raise a critical incident at a camera that had none before, and return the incident's id."""
        number = next(self._cameras[ward])
        source = f"cam-{ward}-{number:02d}"
        if number > FEWEST_CAMERAS:
            self._register_camera(source, number)
        self.send_wrong_way(source)
        return self.incident_of(source)

    def _register_camera(self, source: str, number: int) -> None:
        """See that a camera is registered: a worker with many test files needs more than the demo has.

        It stands apart from the others, so that its alarm is no part of theirs.
        """
        if any(device["id"] == source for device in self.get("/devices")["items"]):
            return
        like = next(d for d in self.get("/devices")["items"] if d["id"] == f"{source[:9]}-01")
        values = {name: like[name] for name in ("name", "ward", "lat")}
        answer = httpx.put(
            f"{self.url}/api/v1/registry/devices/{source}",
            json={"kind": "camera", "lon": like["lon"] + 0.005 * number, **values},
            headers=self.headers("engineer"),
        )
        assert answer.status_code == 200, answer.text
        deadline_s = time.monotonic() + RAISE_TIMEOUT_S
        while source not in {device["id"] for device in self.get("/devices")["items"]}:
            assert time.monotonic() < deadline_s
            time.sleep(0.1)

    @property
    def incident(self) -> str:
        """An incident to look at: nobody does anything to it but to end it, and then it is another one."""
        if not self._incident or self.get(f"/incidents/{self._incident}")["handling"] in ENDED:
            self._incident = self.raise_incident()
        return self._incident

    def incident_of(self, source: str) -> str:
        """Wait until the service knows an open incident of `source`, and return its id."""
        deadline_s = time.monotonic() + RAISE_TIMEOUT_S
        while time.monotonic() < deadline_s:
            for incident in self.get("/incidents?state=open&limit=200")["items"]:
                if incident["source"] == source:
                    found: str = incident["id"]
                    return found
            time.sleep(0.05)
        raise AssertionError(f"no incident of {source} within {RAISE_TIMEOUT_S:.0f} s")

    def notice_of(self, incident_id: str) -> str:
        """Wait until the supervisor has been told of an incident, and return of what."""
        deadline_s = time.monotonic() + RAISE_TIMEOUT_S
        while time.monotonic() < deadline_s:
            for notice in self.get("/notices")["items"]:
                if notice["incident"] == incident_id:
                    told: str = notice["op"]
                    return told
            time.sleep(0.05)
        raise AssertionError(f"no notice of {incident_id} within {RAISE_TIMEOUT_S:.0f} s")

    def get(self, path: str, user: str = "supervisor") -> Any:
        """Read from the API."""
        return httpx.get(f"{self.url}/api/v1{path}", headers=self.headers(user)).raise_for_status().json()

    def command(self, incident_id: str, op: str, user: str = "supervisor", **args: str) -> None:
        """Do to an incident what another person would do at their console."""
        path = f"{self.url}/api/v1/incidents/{incident_id}/commands"
        for _ in range(COMMAND_TRIES):
            incident = self.get(f"/incidents/{incident_id}", user)
            body = {"op": op, "expect_rev": incident["rev"], "idem": str(uuid.uuid4()), "args": args}
            answer = httpx.post(path, json=body, headers=self.headers(user))
            if answer.status_code != httpx.codes.CONFLICT:
                break
        answer.raise_for_status()

    def post(self, path: str, user: str, **body: Any) -> Any:
        """Send to the API what another person would."""
        answer = httpx.post(f"{self.url}/api/v1{path}", json=body, headers=self.headers(user))
        return answer.raise_for_status().json()

    def hand_over(self, op: str, user: str) -> None:
        """Do to the running shift what another person would do at their console."""
        shift = self.get("/shifts/current")["shift"]
        self.post(
            f"/shifts/{shift['id']}/commands", user, op=op, expect_rev=shift["rev"], idem=str(uuid.uuid4())
        )

    def end_all(self, ward: str) -> None:
        """End every open incident of a ward, so that the queue is as another test expects it."""
        for incident in self.get(f"/incidents?ward={ward}")["items"]:
            self.end(incident["id"])

    def end_raised(self) -> None:
        """End what tests have raised: all but the silence of cameras that nothing simulates."""
        for incident in self.get("/incidents?limit=200")["items"]:
            if incident["handling"] != "merged" and not incident["rule"].endswith("-silent"):
                self.end(incident["id"])

    def end(self, incident_id: str) -> None:
        """Resolve an incident, unless it has ended by itself meanwhile."""
        try:
            self.command(incident_id, "resolve", note="hết buổi diễn tập", override="diễn tập")
        except httpx.HTTPStatusError:
            if self.get(f"/incidents/{incident_id}")["handling"] not in ENDED:
                raise
