"""Reads the parts of a rule that are mappings of their own: `sequence`, `fence`, `near`."""

import re
from typing import Final, cast

import yaml

from ioc.model.events import DATA_TYPES, Stream
from ioc.model.times import HOUR_US, MINUTE_US, SECOND_US
from ioc.rules.errors import PredicateError, did_you_mean
from ioc.rules.having import duration_us, number_of
from ioc.rules.nodes import Findings, Form
from ioc.rules.predicate import Predicate, compile_predicate
from ioc.rules.rule import AreaChoice, Chain, FenceWatch, Nearby, Step, Transition

MAX_STEPS: Final = 8
TRANSITIONS: Final = ("inside", "enters", "leaves", "dwells", "crosses")
DEFAULT_LOST_US: Final = 10 * MINUTE_US
MAX_METRES: Final = 5_000
_WHEN = re.compile(r"(?P<when>inside|enters|leaves|crosses)|dwells\s+(?P<dwell>\S.*)")
MAX_WITHIN_US: Final = 24 * HOUR_US


class PatternReader:
    """Reads the patterns of one rule over events of `types`."""

    def __init__(self, findings: Findings, form: Form, types: tuple[str, ...]) -> None:
        self._findings = findings
        self._form = form
        self._types = types

    def sequence(self) -> Chain | None:
        """Return the steps of `sequence`."""
        form = self._form.form("sequence", ("steps", "within"))
        if form is None:
            return None
        within_us = self.within(form, required=True)
        node = form.get("steps")
        if not isinstance(node, yaml.SequenceNode):
            hint = "as in steps: ['kind == \"motion\"', 'kind == \"intrusion\"']"
            self._findings.at(node or form.node, "steps: expected a list of conditions", hint)
            return None
        if not 2 <= len(node.value) <= MAX_STEPS:
            self._findings.at(node, f"steps: a sequence has 2 to {MAX_STEPS}, found {len(node.value)}")
        steps = [step for item in node.value if (step := self._step(item)) is not None]
        return None if within_us is None or len(steps) < len(node.value) else Chain(tuple(steps), within_us)

    def _step(self, node: yaml.Node) -> Step | None:
        if isinstance(node, yaml.ScalarNode):
            where = self.predicate(node, "steps", self._types)
            return None if where is None else Step(self._types, where)
        if not isinstance(node, yaml.MappingNode):
            self._findings.at(node, "steps: expected a condition", "or {type: camera.alarm, where: …}")
            return None
        form = Form(self._findings, node, ("type", "where"), "a step")
        types = self.types_among(form, self._types) or self._types
        text = form.scalar("where", required=True)
        where = None if text is None else self.predicate(text, "where", types)
        return None if where is None else Step(types, where)

    def fence(self) -> FenceWatch | None:
        """Return what `fence` watches."""
        form = self._form.form("fence", ("when", "area", "initial", "margin_m", "lost"))
        if form is None:
            return None
        area = self.area(form, required=True)
        node = form.scalar("when", required=True)
        found = None if node is None else _WHEN.fullmatch(node.value.strip())
        if node is not None and found is None:
            hint = did_you_mean(node.value, TRANSITIONS) or "known: " + ", ".join(TRANSITIONS)
            self._findings.at(node, f"when: {node.value!r} is not a transition", f"{hint}; as in dwells 90s")
        initial = form.scalar("initial")
        if initial is not None and initial.value not in ("unknown", "outside"):
            self._findings.at(initial, f"initial: {initial.value!r} is unknown", "known: unknown, outside")
        margin_m = self._metres(form, "margin_m", 0, 1_000, 0.0)
        lost_us = self.within(form, "lost") or DEFAULT_LOST_US
        if area is None or node is None or found is None or margin_m is None:
            return None
        try:
            dwell_us = duration_us(found["dwell"]) if found["dwell"] else 0
        except ValueError as error:
            self._findings.at(node, f"when: {error}")
            return None
        if found["dwell"] and not SECOND_US <= dwell_us < lost_us:
            self._findings.at(node, "when: a subject dwells at least 1 s, and less than `lost`", "raise lost")
        when = cast(Transition, "dwells" if found["dwell"] else found["when"])
        outside = initial is not None and initial.value == "outside"
        return FenceWatch(when, area, dwell_us, "outside" if outside else "unknown", margin_m, lost_us)

    def area(self, outer: Form, *, required: bool = False) -> AreaChoice | None:
        """Return the areas chosen by `area`."""
        if required and "area" not in outer:
            self._findings.at(outer.node, "'area' is missing", "as in area: {kind: underpass}")
        form = outer.form("area", ("kind", "code"))
        if form is None:
            return None
        kind = form.text("kind")
        codes = tuple(str(item.value) for item in form.scalars("code"))
        if kind is None and not codes:
            self._findings.at(form.node, "area: needs kind or code", "as in area: {kind: underpass}")
        return AreaChoice(kind, codes or None)

    def near(self) -> Nearby | None:
        """Return what `near` looks for."""
        form = self._form.form("near", ("stream", "type", "where", "metres", "within"))
        if form is None:
            return None
        within_us = self.within(form, required=True)
        metres = self._metres(form, "metres", 1, MAX_METRES, None)
        stream = form.scalar("stream", required=True)
        of_stream = () if stream is None else tuple(t for t in DATA_TYPES if t.startswith(f"{stream.value}."))
        if stream is not None and not of_stream:
            hint = did_you_mean(stream.value, [item.value for item in Stream])
            self._findings.at(stream, f"stream: {stream.value!r} is unknown", hint)
        types = self.types_among(form, of_stream) if of_stream else ()
        if "type" not in form:
            types = of_stream
        node = form.scalar("where")
        where = None if node is None else self.predicate(node, "where", types)
        return None if within_us is None or metres is None else Nearby(types, where, metres, within_us)

    def _metres(self, form: Form, key: str, least: float, most: float, default: float | None) -> float | None:
        node = form.scalar(key, required=default is None)
        if node is None:
            return default
        found = number_of(node.value)
        if found is None or not least <= found <= most:
            self._findings.at(node, f"{key}: expected {least:g} to {most:g} metres, found {node.value!r}")
            return None
        return found

    def types_among(self, form: Form, known: tuple[str, ...]) -> tuple[str, ...]:
        """Return the types named by `type`, which are among `known`; empty where none is."""
        found = []
        for item in form.scalars("type"):
            if item.value in known:
                found.append(str(item.value))
            else:
                hint = did_you_mean(item.value, known) or f"known: {', '.join(known)}"
                self._findings.at(item, f"type: {item.value!r} is not a type of the rule", hint)
        return tuple(dict.fromkeys(found))

    def predicate(self, node: yaml.ScalarNode, key: str, types: tuple[str, ...]) -> Predicate | None:
        """Return the predicate written at `node`."""
        if not types:
            return None
        try:
            return compile_predicate(node.value, types)
        except PredicateError as error:
            self._findings.in_text(node, key, error)
            return None

    def within(
        self, form: Form, key: str = "within", *, required: bool = False, longest_us: int = MAX_WITHIN_US
    ) -> int | None:
        """Return the duration under `key`, at least a second."""
        node = form.scalar(key, required=required)
        if node is None:
            return None
        try:
            found = duration_us(node.value)
        except ValueError as error:
            self._findings.at(node, f"{key}: {error}")
            return None
        if not SECOND_US <= found <= longest_us:
            self._findings.at(node, f"{key}: between 1 s and {longest_us // HOUR_US} h")
        return found
