"""The one way in: every transport hands bodies to `IngestService.accept` and answers what it returns.

    HTTP ─┐                                                        ┌─► log append ──┐
    MQTT ─┼─► accept ─► allowance ─► decode ─► gateway (pure) ─────┤                ├─► answer
    ext. ─┘      ▲                                                 └─► quarantine ──┘    │
                 └────────── error budget and health of the device ◄─────────────────────┘

The answer exists only after everything it acknowledges is durable.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import msgspec
import structlog

from ioc.ingest.allowance import Allowances
from ioc.ingest.decoders import CARRIES_PICTURES, DECODERS
from ioc.ingest.decoders.base import (
    UNREADABLE_RULES,
    Decode,
    DecodeContext,
    Decoder,
    Rejection,
    TooManyEvents,
)
from ioc.ingest.decoders.media import media_type
from ioc.ingest.decoders.moments import zone_of
from ioc.ingest.device_counts import DeviceCounter
from ioc.ingest.error_budget import ErrorBudgets
from ioc.ingest.gateway import Admission, Gateway, RejectedEvent
from ioc.ingest.limits import IngestLimits
from ioc.ingest.metrics import IngestMetrics, Transport
from ioc.ingest.ports import (
    DEVICE_DISABLED,
    BodyRefused,
    Clock,
    DeviceDisabled,
    Log,
    NotAuthorised,
    Quarantine,
    Registry,
    TooFast,
    Unavailable,
)
from ioc.ingest.shedding import Shedder
from ioc.model.places import Device
from ioc.model.records import EVENTS_TOPIC
from ioc.model.tracing import NO_TRACER, Tracer, Value

DECODER_FAILED: Final = "decoder_failed"
_NO_FAULT: Final = frozenset({DECODER_FAILED, DEVICE_DISABLED})
"""Rules that say nothing against the sender: our own failure, and whom a gateway sends for is disabled."""

log = logging.getLogger(__name__)
_log = structlog.get_logger()


class IngestAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one body. Accepted and duplicate events are durable, rejected ones quarantined."""

    accepted: int
    duplicate: int
    rejected: tuple[RejectedEvent, ...] = ()
    shed: int | msgspec.UnsetType = msgspec.UNSET
    """Events left out because the service cannot keep up; there only while some are."""

    @property
    def unreadable(self) -> bool:
        """True where nothing in the body could even be read as an event."""
        return not (self.accepted or self.duplicate or self.shed) and all(
            rejected.rule in UNREADABLE_RULES for rejected in self.rejected
        )


class IngestService:
    """Takes bodies of authenticated devices. Safe to call from many tasks of one loop.

    Args:
        retryable: exceptions of `log` and `quarantine` that mean "try again later" (besides OSError and
            TimeoutError). Anything else is a fault of ours and propagates; nothing is acknowledged then.
        clock: microseconds since the epoch; read once per body.
    """

    def __init__(
        self,
        *,
        log: Log,
        quarantine: Quarantine,
        registry: Registry,
        gateway: Gateway,
        metrics: IngestMetrics,
        clock: Clock,
        limits: IngestLimits,
        retryable: tuple[type[Exception], ...] = (),
        decoders: Mapping[str, Decoder] = DECODERS,
        topic: str = EVENTS_TOPIC,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        self.registry = registry
        self.limits = limits
        self.metrics = metrics
        self._log = log
        self._quarantine = quarantine
        self._gateway = gateway
        self._clock = clock
        self._retryable: tuple[type[Exception], ...] = (*retryable, OSError, TimeoutError)
        self._decoders = decoders
        self._topic = topic
        self._tracer = tracer
        self._allowances = Allowances(limits.device_events_per_s, limits.device_burst_events)
        self.device_counts = DeviceCounter()
        self.budgets = ErrorBudgets(limits)
        self.shedder = Shedder()
        self._inflight = asyncio.Semaphore(limits.max_inflight_requests)
        # One is enough: decoders hold the interpreter's lock, so two would not be done sooner.
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="decode")

    def content_types(self, device: Device) -> Sequence[str]:
        """Return the media types this device may send.

        Raises:
            NotAuthorised: the device is registered with a decoder that does not exist.
        """
        return self._decoder(device).content_types

    def body_limit(self, device: Device) -> int:
        """Return how many bytes a body of this device may have."""
        limits = self.limits
        return limits.max_picture_body_bytes if device.decoder in CARRIES_PICTURES else limits.max_body_bytes

    async def accept(
        self,
        device: Device,
        body: bytes,
        content_type: str | None = None,
        *,
        transport: Transport = "http",
        topic: str | None = None,
        wait: bool = False,
    ) -> IngestAnswer:
        """Take one body and return what became of it, once that is durable.

        Args:
            device: the authenticated sender.
            body: uncompressed, at most `body_limit`.
            content_type: media type, with its `boundary` where it is multipart; None where there is none.
            transport: for the metrics.
            topic: MQTT topic below the device's prefix.
            wait: wait for room and allowance instead of refusing, and quarantine a body that is too large
                or that its decoder fails on, instead of refusing it; for transports that answer nothing but
                an acknowledgement and hold back their sender by not reading.

        Raises:
            BodyRefused: the body as a whole is too large or holds too many events.
            TooFast: over the device's rate (never with `wait`).
            Unavailable: not durable; the sender must repeat the same body.
        """
        answers = await self.accept_all(
            device, (body,), content_type, transport=transport, topic=topic, wait=wait
        )
        return answers[0]

    async def accept_all(
        self,
        device: Device,
        bodies: Sequence[bytes],
        content_type: str | None = None,
        *,
        transport: Transport = "http",
        topic: str | None = None,
        wait: bool = False,
    ) -> list[IngestAnswer]:
        """Take several bodies of one device in order, in one append. Otherwise as `accept`.

        All or nothing: on an error none of them may be acknowledged.
        """
        if not wait:
            self.require_enabled(device, transport)
        elif self.registry.disabled(device.id):
            return self._leave_out(device, transport, len(bodies))
        if hold_s := self.budgets.hold_s(device.id, self._clock()):
            if transport == "subscriber":  # one connection serves many devices: it must not wait for one
                return await self._leave_unread(device, bodies)
            if not wait:
                self.metrics.refuse(transport, "throttled")
                raise TooFast(hold_s, "most of what this device sends is refused: mend it and send little")
            await asyncio.sleep(hold_s)
        if wait and (delay_s := self._allowances.debt_s(device.id, self._clock())):
            await asyncio.sleep(delay_s)  # before taking a place, which others may use meanwhile
        values: dict[str, Value] = {"ioc.transport": transport, "ioc.device.id": device.id}
        async with self._room(transport, wait):
            with self._tracer.span("ingest", values=values):
                context = self._context(device, content_type, topic)
                return await self._take(device, bodies, context, transport, wait)

    def require_enabled(self, device: Device, transport: Transport) -> None:
        """Count and refuse a disabled sender.

        Raises:
            DeviceDisabled: it is out of service.
        """
        if self.registry.disabled(device.id):
            self._count_disabled(device, transport, 1)
            raise DeviceDisabled(device.id)

    def _count_disabled(self, device: Device, transport: Transport, bodies: int) -> None:
        self.metrics.refused.labels(transport, "disabled").inc(bodies)
        self.device_counts.refuse(device.id, DEVICE_DISABLED, self._clock(), bodies)

    def _leave_out(self, device: Device, transport: Transport, bodies: int) -> list[IngestAnswer]:
        """Count what a disabled device sent to where nobody reads an answer, and keep nothing of it."""
        self._count_disabled(device, transport, bodies)
        detail = str(DeviceDisabled(device.id))
        rejected = RejectedEvent(line=1, rule=DEVICE_DISABLED, detail=detail, field="source")
        return [IngestAnswer(accepted=0, duplicate=0, rejected=(rejected,))] * bodies

    def _context(self, device: Device, content_type: str | None, topic: str | None) -> DecodeContext:
        media, boundary = media_type(content_type)
        return DecodeContext(
            device_id=device.id,
            now_us=self._clock(),
            content_type=media,
            boundary=boundary,
            topic=topic,
            zone=zone_of(device.time_zone),
            options=device.options,
            options_of=partial(self._options_of, device),
            max_event_bytes=self.limits.max_event_bytes,
            max_events=self.limits.max_events_per_request,
        )

    def _options_of(self, sender: Device, source: str) -> Mapping[str, str]:
        found = self.registry.device(source) if sender.may_send_for(source) else None
        return {} if found is None else found.options

    async def _take(
        self,
        device: Device,
        bodies: Sequence[bytes],
        context: DecodeContext,
        transport: Transport,
        wait: bool,
    ) -> list[IngestAnswer]:
        now_us = context.now_us
        admissions: list[Admission] = []
        duplicates: list[list[bool]] = []
        try:
            await self._admit(device, bodies, context, transport, wait, admissions)
            with self._tracer.span("append"), self.metrics.append_seconds.time():
                duplicates = await self._store(admissions, transport)
        finally:
            self._forget_untaken(admissions, duplicates)
        self._count(admissions, duplicates)
        answers = []
        for admission, repeats in zip(admissions, duplicates, strict=True):
            self._judge(device, admission, repeats, now_us)
            answers.append(_answer(admission, repeats))
        return answers

    async def _admit(
        self,
        device: Device,
        bodies: Sequence[bytes],
        context: DecodeContext,
        transport: Transport,
        wait: bool,
        admissions: list[Admission],
    ) -> None:
        """Add to `admissions` what the gateway wants done with each body."""
        trace = self._tracer.current() if self._tracer.on else None
        now_us = context.now_us
        leaves_out = self.shedder.leaves_out if self.shedder.level else None
        self.metrics.bytes.labels(transport).inc(sum(map(len, bodies)))
        for at, body in enumerate(bodies):
            # What states no time happened in the order in which it came, and not at once.
            told = msgspec.structs.replace(context, now_us=now_us + at) if at else context
            decode = await self._decode(device, body, told, transport, wait)
            self._charge(device, decode, transport, wait, now_us)
            self.metrics.dropped_fields.inc(decode.dropped_fields)
            self.metrics.pictures.inc(decode.pictures)
            admissions.append(
                self._gateway.admit(device, decode.events, decode.rejections, now_us, trace, leaves_out)
            )

    def _forget_untaken(self, admissions: Sequence[Admission], duplicates: Sequence[Sequence[bool]]) -> None:
        """Let no event keep others out that the log has not taken now; without `duplicates` that is none."""
        if self.shedder.level:
            records = [record for admission in admissions for record in admission.records]
            repeats = [repeat for body in duplicates for repeat in body] or [True] * len(records)
            self.shedder.forget(
                record.dedup
                for record, repeat in zip(records, repeats, strict=True)
                if repeat and record.dedup is not None
            )

    async def _leave_unread(self, device: Device, bodies: Sequence[bytes]) -> list[IngestAnswer]:
        """Put what a throttled device sent into quarantine as it came."""
        detail = "most of what this device sends is refused, so this was not looked at"
        self.metrics.refused.labels("subscriber", "throttled").inc(len(bodies))
        admissions = [
            self._gateway.admit(
                device, (), _refused_whole("throttled", detail, body).rejections, self._clock()
            )
            for body in bodies
        ]
        duplicates = await self._store(admissions, "subscriber")
        self._count(admissions, duplicates)
        return [_answer(admission, ()) for admission in admissions]

    def _judge(self, device: Device, admission: Admission, duplicates: Sequence[bool], now_us: int) -> None:
        """Count a body for its device's health and error budget."""
        odd = self.device_counts.note(device.id, admission, duplicates, now_us)
        for finding, count in odd.items():
            self.metrics.times.labels(finding).inc(count)
        refused = sum(rejected.rule not in _NO_FAULT for rejected in admission.rejected)
        self._note(device, len(admission.records), refused, now_us)

    def _note(self, device: Device, taken: int, refused: int, now_us: int) -> None:
        if self.budgets.note(device.id, taken, refused, now_us):
            _log.warning("device throttled: most of what it sends is refused", device=device.id)
        self.metrics.throttled_devices.set(len(self.budgets.throttled))

    def _decoder(self, device: Device) -> Decoder:
        decoder = self._decoders.get(device.decoder)
        if decoder is None:
            raise NotAuthorised(403, f"this device is registered with an unknown decoder: {device.decoder}")
        return decoder

    @asynccontextmanager
    async def _room(self, transport: Transport, wait: bool) -> AsyncIterator[None]:
        if not wait and self._inflight.locked():
            self.metrics.refuse(transport, "inflight")
            raise Unavailable("inflight")
        async with self._inflight:
            with self.metrics.inflight.track_inprogress():
                yield

    def _charge(self, device: Device, decode: Decode, transport: Transport, wait: bool, now_us: int) -> None:
        events = len(decode.events) + len(decode.rejections)
        if wait:
            self._allowances.spend(device.id, events, now_us)
        elif delay_s := self._allowances.take(device.id, events, now_us):
            self.metrics.refuse(transport, "rate")
            raise TooFast(delay_s)

    async def _decode(
        self,
        device: Device,
        body: bytes,
        context: DecodeContext,
        transport: Transport,
        wait: bool,
    ) -> Decode:
        limit = self.body_limit(device)
        if len(body) > limit:
            self.metrics.refuse(transport, "body_bytes")
            detail = f"the body has {len(body)} bytes, at most {limit} are taken"
            if wait:
                return _refused_whole("max_body_bytes", detail, body)
            self._refused(device, "max_body_bytes", context.now_us)
            raise BodyRefused(413, "max_body_bytes", detail)
        try:
            decoder = self._decoder(device)
            if len(body) <= self.limits.decode_at_once_bytes:
                decode = decoder.decode(body, context)
            else:
                loop = asyncio.get_running_loop()
                decode = await loop.run_in_executor(self._aside, decoder.decode, body, context)
            if len(decode.rejections) > context.max_events:  # the parts of few large messages
                raise TooManyEvents(len(decode.rejections), context.max_events)
            return decode
        except TooManyEvents as error:
            self.metrics.refuse(transport, "events_per_request")
            if wait:
                return _refused_whole("max_events_per_request", str(error), body)
            self._refused(device, "max_events_per_request", context.now_us)
            raise BodyRefused(413, "max_events_per_request", str(error)) from error
        except Exception as error:
            if not wait:
                raise
            # A fault of ours; but whoever sends until we acknowledge would stand still with it for ever.
            log.exception("the decoder %s failed", device.decoder)
            return _refused_whole(DECODER_FAILED, f"{device.decoder} failed: {type(error).__name__}", body)

    def _refused(self, device: Device, rule: str, now_us: int) -> None:
        self.device_counts.refuse(device.id, rule, now_us)
        self._note(device, 0, 1, now_us)

    async def _store(self, admissions: Sequence[Admission], transport: Transport) -> list[list[bool]]:
        """Make everything durable and return, per admission and record, whether it was a duplicate.

        The log comes first: should it fail, the resend would quarantine the rejected events twice.
        """
        records = [record for admission in admissions for record in admission.records]
        rows = [row for admission in admissions for row in admission.quarantine]
        duplicate: list[bool] = []
        if records:
            try:
                async with asyncio.timeout(self.limits.append_timeout_s):
                    outcomes = await self._log.append(self._topic, records)
            except self._retryable as error:
                raise self._unavailable(transport, "log", error) from error
            duplicate = [outcome.duplicate for outcome in outcomes]
        if rows:
            try:
                async with asyncio.timeout(self.limits.append_timeout_s):
                    await self._quarantine.add(rows)
            except self._retryable as error:
                raise self._unavailable(transport, "quarantine", error) from error
        remaining = iter(duplicate)
        return [[next(remaining) for _ in admission.records] for admission in admissions]

    def _unavailable(self, transport: Transport, part: str, error: Exception) -> Unavailable:
        if isinstance(error, TimeoutError):
            self.metrics.refuse(transport, "timeout")
        else:
            self.metrics.refuse(transport, "log" if part == "log" else "quarantine")
        return Unavailable(part)

    def _count(self, admissions: Sequence[Admission], duplicates: Sequence[Sequence[bool]]) -> None:
        results = Counter(
            ("duplicate" if repeat else "accepted", stream)
            for admission, repeats in zip(admissions, duplicates, strict=True)
            for repeat, stream in zip(repeats, admission.streams, strict=True)
        )
        for (result, stream), count in results.items():
            self.metrics.events.labels(result, stream).inc(count)
        rules = Counter(rejected.rule for admission in admissions for rejected in admission.rejected)
        if rules:
            self.metrics.events.labels("rejected", "").inc(rules.total())
        for rule, count in rules.items():
            self.metrics.rejections.labels(rule).inc(count)
        for admission in admissions:
            for refused in admission.rejected:
                _log.debug("event refused", event_id=refused.id, rule=refused.rule, field=refused.field)
            for finding, count in admission.counts.items():
                self.metrics.positions.labels(finding).inc(count)
            for kind, count in admission.shed.items():
                self.metrics.shed.labels(kind).inc(count)


def _answer(admission: Admission, duplicates: Sequence[bool]) -> IngestAnswer:
    repeated = sum(duplicates)
    return IngestAnswer(
        accepted=len(duplicates) - repeated,
        duplicate=repeated,
        rejected=tuple(admission.rejected),
        shed=admission.shed.total() or msgspec.UNSET,
    )


def _refused_whole(rule: str, detail: str, body: bytes) -> Decode:
    return Decode(rejections=[Rejection(line=1, rule=rule, detail=detail, raw=body)])
