"""Reads rule files: YAML text in, rules and findings out. Findings are collected, never only the first."""

import hashlib
import json
import re
from collections.abc import Mapping

import yaml

from ioc.model.events import DATA_TYPES, Stream
from ioc.model.incidents import Clocks, Severity
from ioc.model.texts import Text
from ioc.model.times import HOUR_US, SECOND_US
from ioc.rules.errors import PredicateError, RuleError, did_you_mean
from ioc.rules.having import DEFAULT_REFRACTORY_US, duration_us, number_of, read_having
from ioc.rules.nodes import Findings, Form, documents, plain
from ioc.rules.patterns import PatternReader
from ioc.rules.predicate import FieldTable, Predicate, compile_predicate
from ioc.rules.predicate.ast import Field
from ioc.rules.rule import (
    RANK,
    Having,
    LatePolicy,
    Order,
    Place,
    Rule,
    SeverityStep,
    reaches,
)

KEYS = [
    "rule",
    "title",
    "summary",
    "words",
    "stream",
    "type",
    "where",
    "area",
    "ward",
    "by",
    "having",
    "for",
    "clear_when",
    "hold",
    "cooldown",
    "late",
    "order",
    "absence",
    "sequence",
    "fence",
    "near",
    "severity",
    "category",
    "route",
    "clocks",
    "enabled",
]
MIN_ABSENCE_US = 5 * SECOND_US
MAX_DURATION_US = 7 * 24 * HOUR_US
"""Longest `for`, `hold`, `cooldown` and `absence`."""

MAX_TEXT_CHARS = 500
MAX_WORDS = 200
MAX_KEY_PARTS = 4

_DEFAULT_BY = {"fence": "subject", "near": "ward"}
ALONE = {
    "sequence": ("where", "having", "for", "clear_when", "order", "absence", "fence", "near"),
    "fence": ("area", "having", "for", "clear_when", "order", "absence", "near"),
    "near": ("having", "for", "clear_when", "order", "absence"),
    "ewma_z": ("for", "clear_when", "order", "absence"),
}
"""Kinds of pattern and what cannot stand beside them."""
_ALONE_HINTS = {
    "where": "write it into the pattern",
    "area": "write it into fence",
    "order": "it is always by time",
}
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
PLACEHOLDERS = ("value", "threshold", "count", "window", "source", "ward", "key")
"""What a title or summary may show besides the fields of the event."""
BRACES = re.compile(r"\{([^{}]*)\}")


def parse_rules(file: str, text: str) -> tuple[list[Rule], list[RuleError]]:
    """Return the rules of one file's `text` and everything wrong with it; a rule with a finding is left out.

    Args:
        file: the name findings carry.
        text: YAML: one rule, several separated by `---`, or a list of rules.
    """
    findings = Findings(file)
    rules: list[Rule] = []
    for node in documents(findings, text):
        before = len(findings.errors)
        rule = _Reader(findings, node).read()
        if rule is not None and len(findings.errors) == before:
            rules.append(rule)
    return rules, findings.errors


class _Reader:
    """Reads one rule."""

    def __init__(self, findings: Findings, node: yaml.MappingNode) -> None:
        self._findings = findings
        self._node = node
        self._form = Form(findings, node, KEYS, "the rule")
        self._shown: dict[str, Field] = {}

    def read(self) -> Rule | None:
        form = self._form
        name = self._name()
        stream, types = self._types()
        table = FieldTable(types) if types else None
        where = self._predicate("where", types, table)
        clear_when = self._predicate("clear_when", types, table)
        having = self._having(types)
        severity, steps = self._severity(having)
        title, summary = self._texts("title", table), self._texts("summary", table)
        words = self._words()
        by = self._by(table)
        patterns = PatternReader(self._findings, form, types)
        sequence, fence, near = patterns.sequence(), patterns.fence(), patterns.near()
        area, wards = patterns.area(form), self._wards()
        for_us = self._duration("for")
        hold_us, absence_us = self._duration("hold"), self._duration("absence")
        cooldown_us, late = self._cooldown(having), self._late()
        order = self._order(having, for_us)
        category, clocks = self._category(stream, table), self._clocks()
        enabled = form.truth("enabled", True)
        lasting = fence is not None and fence.lasting
        self._check_combination(hold_us, absence_us, having, lasting=lasting)
        if name is None or stream is None or severity is None or title is None:
            return None
        return Rule(
            name=name,
            title=title,
            summary=summary,
            words=words,
            stream=stream,
            types=types,
            where=where,
            area=area,
            wards=wards,
            by=by,
            having=having,
            for_us=for_us or 0,
            clear_when=clear_when,
            hold_us=hold_us or 0,
            cooldown_us=cooldown_us,
            late=late,
            order=order,
            absence_us=absence_us,
            sequence=sequence,
            fence=fence,
            near=near,
            severity=severity,
            steps=steps,
            category=category or stream.value,
            clocks=clocks,
            enabled=enabled,
            version=_hash(plain(self._node)),
            file=self._findings.file,
            shown=tuple(self._shown.values()),
            places=self._places(),
        )

    # one key each -----------------------------------------------------------------------------------------

    def _name(self) -> str | None:
        node = self._form.scalar("rule", required=True)
        if node is None:
            return None
        if not _NAME.fullmatch(node.value):
            self._findings.at(
                node, f"rule: {node.value!r} is not a name", "use a-z, 0-9 and -, as in underpass-jam"
            )
            return None
        return str(node.value)

    def _types(self) -> tuple[Stream | None, tuple[str, ...]]:
        node = self._form.scalar("stream", required=True)
        streams = [item.value for item in Stream]
        stream = self._choice("stream", node, streams)
        named: list[str] = []
        for item in self._form.scalars("type"):
            value = self._choice("type", item, list(DATA_TYPES))
            if value is not None and stream is not None and not value.startswith(f"{stream}."):
                self._findings.at(item, f"type: {value} is not of stream {stream}")
            elif value is not None:
                named.append(value)
        if stream is None:
            return None, tuple(named)
        if "type" not in self._form:
            named = [name for name in DATA_TYPES if name.startswith(f"{stream}.")]
        return Stream(stream), tuple(dict.fromkeys(named))

    def _choice(self, key: str, node: yaml.ScalarNode | None, known: list[str]) -> str | None:
        if node is None:
            return None
        if node.value not in known:
            hint = did_you_mean(node.value, known) or f"known: {', '.join(known)}"
            self._findings.at(node, f"{key}: {node.value!r} is unknown", hint)
            return None
        return str(node.value)

    def _predicate(self, key: str, types: tuple[str, ...], table: FieldTable | None) -> Predicate | None:
        node = self._form.scalar(key)
        if node is None or table is None:
            return None
        try:
            return compile_predicate(node.value, types, table)
        except PredicateError as error:
            self._findings.in_text(node, key, error)
            return None

    def _having(self, types: tuple[str, ...]) -> Having | None:
        node = self._form.scalar("having")
        if node is None or not types:
            return None
        try:
            return read_having(node.value, types)
        except PredicateError as error:
            self._findings.in_text(node, "having", error)
            return None

    def _severity(self, having: Having | None) -> tuple[Severity | None, tuple[SeverityStep, ...]]:
        node = self._form.get("severity")
        levels = [item.value for item in Severity]
        if not isinstance(node, yaml.SequenceNode):
            found = self._choice("severity", self._form.scalar("severity", required=True), levels)
            return (Severity(found), ()) if found else (None, ())
        if "having" not in self._form:
            self._findings.at(node, "severity: thresholds need `having`", "give one severity")
            return None, ()
        steps = [step for item in node.value if (step := self._step(item)) is not None]
        if not steps or len(steps) < len(node.value) or having is None:
            return None, ()
        for lower, higher, item in zip(steps, steps[1:], node.value[1:], strict=False):
            rises = RANK[higher.level] > RANK[lower.level]
            if not rises or lower.at == higher.at or not reaches(higher.at, having.op, lower.at):
                self._findings.at(item, f"severity: steps must rise together with having's {having.op}")
        return steps[0].level, tuple(steps)

    def _step(self, node: yaml.Node) -> SeverityStep | None:
        if not isinstance(node, yaml.MappingNode):
            self._findings.at(node, "severity: expected a step", "as in {at: 60, level: medium}")
            return None
        form = Form(self._findings, node, ("at", "level"), "a severity step")
        level = self._choice("level", form.scalar("level", required=True), [item.value for item in Severity])
        at = form.scalar("at", required=True)
        number = None if at is None else number_of(at.value)
        if at is not None and number is None:
            self._findings.at(at, f"at: expected a number, found {at.value!r}")
        return None if level is None or number is None else SeverityStep(Severity(level), number)

    def _texts(self, key: str, table: FieldTable | None) -> Text | None:
        if key == "title" and key not in self._form:
            self._findings.at(self._node, "'title' is missing", "as in title: {vi: …, en: …}")
        form = self._form.form(key, ("vi", "en"))
        if form is None:
            return None
        nodes = self._pair(form, key)
        if nodes is None:
            return None
        for node in nodes:
            self._check_template(node, key, table)
        return Text(nodes[0].value, nodes[1].value)

    def _pair(self, form: Form, key: str) -> tuple[yaml.ScalarNode, yaml.ScalarNode] | None:
        vi, en = form.scalar("vi", required=True), form.scalar("en", required=True)
        if vi is None or en is None:
            return None
        for node in (vi, en):
            if len(node.value) > MAX_TEXT_CHARS:
                self._findings.at(node, f"{key}: longer than {MAX_TEXT_CHARS} characters")
        return vi, en

    def _words(self) -> Mapping[str, Text]:
        node = self._form.get("words")
        if node is None:
            return {}
        example = "as in words: {accident: {vi: tai nạn, en: accident}}"
        if not isinstance(node, yaml.MappingNode) or not node.value:
            self._findings.at(node, "words: expected a mapping", example)
            return {}
        if len(node.value) > MAX_WORDS:
            self._findings.at(node, f"words: more than {MAX_WORDS} entries")
            return {}
        if not self._shown:
            hint = "a word stands for the value of a field, as {kind}"
            self._findings.at(node, "words: neither title nor summary shows a field", hint)
        named = (str(key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        keys = list(dict.fromkeys(filter(None, named)))
        words = Form(self._findings, node, keys, "words")
        found: dict[str, Text] = {}
        for key in keys:
            form = words.form(key, ("vi", "en"))
            pair = None if form is None else self._pair(form, f"words: {key}")
            if pair is not None:
                found[key] = Text(pair[0].value, pair[1].value)
        return found

    def _check_template(self, node: yaml.ScalarNode, key: str, table: FieldTable | None) -> None:
        for name in dict.fromkeys(BRACES.findall(node.value)):
            if name in PLACEHOLDERS or table is None:
                continue
            try:
                self._shown[name] = table.resolve(tuple(name.split(".")), 0)
            except PredicateError:
                hint = did_you_mean(name, [*PLACEHOLDERS, *table.names])
                self._findings.at(node, f"{key}: nothing is called {{{name}}}", hint)

    def _by(self, table: FieldTable | None) -> tuple[Field, ...]:
        if table is None:
            return ()
        if "by" not in self._form:
            default = next((by for kind, by in _DEFAULT_BY.items() if kind in self._form), "source")
            return (table.resolve((default,), 0),)
        found: list[Field] = []
        for item in self._form.scalars("by"):
            try:
                found.append(table.resolve(tuple(item.value.split(".")), 0))
            except PredicateError as error:
                self._findings.at(item, f"by: {error.message}", error.suggestion)
                continue
            if "near" in self._form and found[-1].scope != "event":
                hint = "source, ward or subject"
                self._findings.at(item, f"by: {item.value} is not of both streams", hint)
        if len(found) > MAX_KEY_PARTS:
            self._findings.at(self._form.get("by") or self._node, f"by: more than {MAX_KEY_PARTS} parts")
        if not found and isinstance(self._form.get("by"), yaml.SequenceNode):
            self._findings.at(
                self._form.get("by") or self._node, "by: the list is empty", "as in by: [source]"
            )
        return tuple(dict.fromkeys(found))

    def _wards(self) -> frozenset[str] | None:
        if "ward" not in self._form:
            return None
        return frozenset(str(item.value) for item in self._form.scalars("ward"))

    def _duration(
        self, key: str, *, form: Form | None = None, longest_us: int = MAX_DURATION_US
    ) -> int | None:
        node = (form or self._form).scalar(key)
        if node is None:
            return None
        try:
            found = duration_us(node.value)
        except ValueError as error:
            hint = f"write {node.value}s" if node.value.isdigit() else None
            self._findings.at(node, f"{key}: {error}", hint)
            return None
        if found > longest_us:
            self._findings.at(node, f"{key}: longer than {longest_us // HOUR_US} h")
        return found

    def _cooldown(self, having: Having | None) -> int:
        found = self._duration("cooldown")
        if found is None and having is not None and having.function == "ewma_z":
            return DEFAULT_REFRACTORY_US
        return found or 0

    def _late(self) -> LatePolicy:
        found = self._choice("late", self._form.scalar("late"), ["drop", "amend"])
        return "amend" if found == "amend" else "drop"

    def _order(self, having: Having | None, for_us: int | None) -> Order:
        found = self._choice("order", self._form.scalar("order"), ["time", "arrival"])
        by_time = found == "time" if found else having is not None and bool(for_us)
        return "time" if by_time else "arrival"

    def _category(self, stream: Stream | None, table: FieldTable | None) -> str | None:
        route = self._form.form("route", ("category",))
        for node in (self._form.scalar("category"), route.scalar("category") if route else None):
            if node is None:
                continue
            name, _, part = node.value.partition(".")
            field = BRACES.fullmatch(part)
            if not SLUG.fullmatch(name) or (part and (not field or field[1] in PLACEHOLDERS)):
                hint = "use a-z, 0-9, - and _; a field of the event may follow, as in citizen.{category}"
                self._findings.at(node, f"category: {node.value!r} is not a name", hint)
            self._check_template(node, "category", table)
            return str(node.value)
        return stream.value if stream else None

    def _clocks(self) -> Clocks:
        form = self._form.form("clocks", ("acknowledge", "resolve"))
        if form is None:
            return Clocks()
        times = [self._duration(key, form=form) for key in ("acknowledge", "resolve")]
        seconds = [None if time is None else time // SECOND_US for time in times]
        return Clocks(acknowledge_s=seconds[0], resolve_s=seconds[1])

    # the whole --------------------------------------------------------------------------------------------

    def _check_combination(
        self, hold_us: int | None, absence_us: int | None, having: Having | None, *, lasting: bool
    ) -> None:
        form, findings = self._form, self._findings
        warns = having is not None and having.function == "ewma_z"
        for kind, refused in ALONE.items():
            if kind in form or (warns and kind == "ewma_z"):
                for key in refused:
                    node = form.get(key)
                    if node is not None:
                        findings.at(node, f"{key}: cannot be combined with {kind}", _ALONE_HINTS.get(key))
                if not hold_us and not lasting:
                    hint = "give hold: 60s (ends so long after it last happened)"
                    findings.at(form.get("hold") or self._node, "the incident would never end", hint)
                return
        absence = form.get("absence")
        if absence is not None:
            for key in ("having", "for", "clear_when", "hold", "cooldown", "late", "order"):
                node = form.get(key)
                if node is not None:
                    hint = "silence ends with the next event; give only `absence`"
                    findings.at(node, f"{key}: cannot be combined with absence", hint)
            if absence_us is not None and absence_us < MIN_ABSENCE_US:
                findings.at(absence, "absence: shorter than 5 s", "the log's clock ticks once a second")
            return
        if having is None and "having" not in form:
            if "where" not in form:
                findings.at(self._node, "nothing is asked of the events", "give where, having or absence")
            elif "clear_when" not in form and (hold_us == 0 or "hold" not in form):
                hint = "give hold: 60s (ends so long after the last match) or clear_when"
                findings.at(self._node, "the incident would never end", hint)

    def _places(self) -> dict[str, Place]:
        nodes = {"": self._node, **{key: node for key in KEYS if (node := self._form.get(key)) is not None}}
        return {
            key: Place(node.start_mark.line + 1, node.start_mark.column + 1) for key, node in nodes.items()
        }


def _hash(content: object) -> str:
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(canonical.encode(), digest_size=6).hexdigest()
