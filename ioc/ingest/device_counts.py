"""What ingest counts of each device, in memory, until somebody takes it away. Pure; time is an argument.

Costs a dictionary look-up and a few additions per event. Only registered devices are counted, so their number
bounds the memory.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

import msgspec

from ioc.ingest.gateway import Admission

MAX_DEVICES: Final = 100_000
"""More than these are not counted (`ioc_ingest_uncounted_devices`)."""
_MAX_SAMPLES: Final = 61
"""Clock samples per device and flush: a median needs no more."""


class DeviceTally(msgspec.Struct):
    """What came of one device since it was taken last; times in microseconds."""

    device_id: str
    seen_us: int = 0
    event_us: int | None = None
    events: int = 0
    refused: int = 0
    refusal: str | None = None
    refused_us: int | None = None
    positions: int = 0
    backward: int = 0
    repeated: int = 0
    skews_us: list[int] = []

    @property
    def skew_us(self) -> int | None:
        """Median of received − time, one sample a body; None without any."""
        return int(median(self.skews_us)) if self.skews_us else None


class DeviceCounter:
    """Tallies of the devices of one process."""

    def __init__(self) -> None:
        self._tallies: dict[str, DeviceTally] = {}
        self._newest_us: dict[str, int] = {}
        self.uncounted = 0
        """Events of devices beyond `MAX_DEVICES`."""

    def note(
        self, sender: str, admission: Admission, duplicates: Sequence[bool], now_us: int
    ) -> Mapping[str, int]:
        """Count one body of `sender`; `duplicates` says which of its records the log knew already.

        Returns:
            Its events by what is odd about their time: `backward`, `repeated`.
        """
        odd: Counter[str] = Counter()
        last: tuple[DeviceTally, int] | None = None
        for seen, duplicate in zip(admission.seen, duplicates, strict=True):
            if duplicate:
                continue
            tally = self._tally(seen.source, now_us)
            if tally is None:
                continue
            tally.events += 1
            tally.event_us = now_us
            tally.positions += seen.position_wrong
            self._order(tally, seen.time_us, odd)
            if last is not None and last[0] is not tally:
                self._sample(*last)
            last = tally, now_us - seen.time_us
        if last is not None:
            self._sample(*last)
        self._note_sender(sender, admission, now_us)
        return odd

    def refuse(self, sender: str, rule: str, now_us: int, bodies: int = 1) -> None:
        """Count bodies that were refused as a whole."""
        tally = self._tally(sender, now_us)
        if tally is not None:
            tally.refused += bodies
            tally.refusal, tally.refused_us = rule, now_us

    def _note_sender(self, sender: str, admission: Admission, now_us: int) -> None:
        # Whom a refused event claims to be from is no evidence: its sender answers for it.
        tally = self._tally(sender, now_us)
        if tally is not None and admission.rejected:
            tally.refused += len(admission.rejected)
            tally.refusal, tally.refused_us = admission.rejected[-1].rule, now_us

    def _tally(self, device_id: str, now_us: int) -> DeviceTally | None:
        tally = self._tallies.get(device_id)
        if tally is None:
            if len(self._tallies) >= MAX_DEVICES:
                self.uncounted += 1
                return None
            tally = self._tallies[device_id] = DeviceTally(device_id)
        tally.seen_us = now_us
        return tally

    def _order(self, tally: DeviceTally, time_us: int, odd: Counter[str]) -> None:
        newest_us = self._newest_us.get(tally.device_id)
        if newest_us is None or time_us > newest_us:
            if newest_us is not None or len(self._newest_us) < MAX_DEVICES:
                self._newest_us[tally.device_id] = time_us
        elif time_us == newest_us:
            tally.repeated += 1
            odd["repeated"] += 1
        else:
            tally.backward += 1
            odd["backward"] += 1

    @staticmethod
    def _sample(tally: DeviceTally, skew_us: int) -> None:
        # The newest event of a body waited least to be sent.
        if len(tally.skews_us) < _MAX_SAMPLES:
            tally.skews_us.append(skew_us)

    def take(self) -> list[DeviceTally]:
        """Return the tallies and begin anew."""
        taken, self._tallies = list(self._tallies.values()), {}
        return taken

    def give_back(self, tallies: Sequence[DeviceTally]) -> None:
        """Add tallies that could not be stored to what was counted meanwhile."""
        for old in tallies:
            new = self._tallies.get(old.device_id)
            if new is None:
                self._tallies[old.device_id] = old
                continue
            new.events += old.events
            new.refused += old.refused
            new.positions += old.positions
            new.backward += old.backward
            new.repeated += old.repeated
            new.event_us = new.event_us or old.event_us
            if new.refused_us is None:
                new.refusal, new.refused_us = old.refusal, old.refused_us
            new.skews_us = (old.skews_us + new.skews_us)[:_MAX_SAMPLES]
