"""What every key of a rule file means, once: the JSON Schema and the reference page are made from this.

A key, nested key or function that the parser knows and this file does not (or the other way round) fails a
test.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from ioc.model.events import DATA_TYPES, Stream
from ioc.model.incidents import Severity
from ioc.rules.patterns import MAX_METRES, MAX_STEPS
from ioc.rules.rule import FORGET_WINDOWS
from ioc.rules.schema import ALONE, MAX_WORDS

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class KeyDoc:
    """One key: its meaning (one sentence or two), an example as YAML, and the schema of its value."""

    meaning: str
    example: str
    schema: Schema
    timed: bool = False
    """Whether it says something about time: then the reference draws it."""


_TEXT: Final[Schema] = {"type": ["string", "number"]}
_PREDICATE: Final[Schema] = {"type": ["string", "boolean"], "minLength": 1}
_DURATION: Final[Schema] = {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*(ms|s|m|h)\s*$"}
_SLUG: Final[Schema] = {"type": ["string", "integer"], "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$"}
_CATEGORY: Final[Schema] = _SLUG | {"pattern": "^[a-z0-9][a-z0-9_-]{0,63}([.]\\{[a-z_.]+\\})?$"}
_LEVEL: Final[Schema] = {"enum": [item.value for item in Severity]}
_CODE: Final[Schema] = {"type": ["string", "number"]}
_NUMBER: Final[Schema] = {"type": ["number", "string"]}


def _one_or_more(item: Schema) -> Schema:
    return {"anyOf": [item, {"type": "array", "items": item}]}


def _form(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    form: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**form, "required": list(required)} if required else form


_WORDS: Final = _form(("vi", "en"), vi=_TEXT, en=_TEXT)
_CHOICE: Final = _form(kind=_TEXT, code=_one_or_more(_CODE)) | {"minProperties": 1}
_TYPES: Final = _one_or_more({"enum": list(DATA_TYPES)})
_STEP: Final[Schema] = {"anyOf": [_PREDICATE, _form(("where",), type=_TYPES, where=_PREDICATE)]}
_WHEN: Final[Schema] = {
    "type": "string",
    "pattern": r"^\s*((inside|enters|leaves|crosses)|dwells\s+\d+(\.\d+)?\s*(ms|s|m|h))\s*$",
}
_FIELD: Final[Schema] = {"type": "string", "pattern": r"^[A-Za-z_][A-Za-z0-9_]*(\.[^.]+)?$"}

FUNCTIONS: Final[dict[str, str]] = {
    "count": "how many events match",
    "rate": "how many match per minute",
    "distinct": "how many different values the field takes; exact up to 1,000",
    "sum": "the sum of the numbers",
    "avg": "their mean",
    "min": "the least",
    "max": "the greatest",
    "p50": "the median: the nearest rank, a number that was measured",
    "p95": "the number that 95 % do not exceed, by nearest rank",
    "stddev": "the standard deviation of a sample (n - 1)",
    "ewma_z": "how many standard deviations a reading lies from what is usual for its key, which is learnt "
    "with weights that fall to 1/e within the window. No verdict before both parts of the warm-up are over: "
    "`, at least 60` readings (30 where absent) and `, after 2h` since the key's first (no such time where "
    f"absent; at most 24 h). After {FORGET_WINDOWS} windows without a reading the key is forgotten and warms "
    "up anew",
}
"""What `having` can measure."""

TESTS: Final[dict[str, str]] = {
    "has": "`has(lane)`: whether the field has a value; never unknown",
    "startsWith": '`source.startsWith("cam-")`: by code point, case matters',
    "endsWith": '`source.endsWith("-north")`',
    "contains": '`zone.contains("bus")`',
    "matches": '`plate.matches("^51[A-K]")`: a regular expression found anywhere in the text; without '
    "backreferences and lookaround, so that its time is bounded",
}
"""The functions of the predicate language."""

NESTED: Final[dict[str, tuple[str, ...]]] = {
    "title": ("vi", "en"),
    "summary": ("vi", "en"),
    "area": ("kind", "code"),
    "sequence": ("steps", "within"),
    "fence": ("when", "area", "initial", "margin_m", "lost"),
    "near": ("stream", "type", "where", "metres", "within"),
    "severity": ("at", "level"),
    "route": ("category",),
    "clocks": ("acknowledge", "resolve"),
}
"""The keys inside the keys that hold a mapping."""

KEYS: Final[dict[str, KeyDoc]] = {
    "rule": KeyDoc(
        "Name of the rule, unique among all files; part of every incident's id.",
        "rule: underpass-jam",
        {"type": ["string", "integer"], "pattern": "^[a-z0-9][a-z0-9-]{0,63}$"},
    ),
    "title": KeyDoc(
        "Title of its incidents in Vietnamese and English. `{source}` and other placeholders are filled in.",
        'title: {vi: "Ùn tắc tại {source}", en: "Congestion at {source}"}',
        _WORDS,
    ),
    "summary": KeyDoc(
        "One sentence that says why it fired; without it one is made from the conditions.",
        'summary: {vi: "{count} lần trong {window}", en: "{count} times within {window}"}',
        _WORDS,
    ),
    "words": KeyDoc(
        "What title and summary show in place of a field's value: a device's or another authority's word in "
        "the languages of those who read. A value that is not among them is shown as it came.",
        "words: {accident: {vi: tai nạn, en: accident}, road_works: {vi: thi công, en: road works}}",
        {"type": "object", "minProperties": 1, "maxProperties": MAX_WORDS, "additionalProperties": _WORDS},
    ),
    "stream": KeyDoc(
        "The family of events it reads.", "stream: traffic", {"enum": [item.value for item in Stream]}
    ),
    "type": KeyDoc(
        "Event types of that stream; all of them where absent.",
        "type: traffic.flow",
        _TYPES,
    ),
    "where": KeyDoc(
        "Predicate that an event must meet to match.", "where: speed_kmh < 15 && occupancy > 0.35", _PREDICATE
    ),
    "area": KeyDoc(
        "Only events with a position in areas of this kind and/or these codes. Without `kind` a code stands "
        "for every area that has it; `ward:101` is the one of that kind.",
        "area: {kind: underpass}",
        _CHOICE,
    ),
    "ward": KeyDoc("Only events of these wards.", 'ward: ["25747", "25750"]', _one_or_more(_CODE)),
    "by": KeyDoc(
        "What tells episodes apart: every value has its own window, timers and incident. Where absent "
        "`[source]`, with `fence` `[subject]`, with `near` `[ward]`. "
        "Events without a value are counted and left out. A key without `source` or `ward` (a plate, a "
        "subject) makes the rule *wide*, whatever its kind: it sees the events of all wards and decides when "
        "the second in which they arrived is over everywhere.",
        "by: [ward]",
        _one_or_more(_FIELD),
    ),
    "having": KeyDoc(
        "Condition on the matching events of a sliding window; an event at time t counts in [t, t + window). "
        "`tumbling` after it means windows side by side, judged when they close; `, at least 10` gives no "
        "value from fewer events; `, after 2h` is how long `ewma_z` learns a key before it judges.",
        "having: count >= 3 within 60s",
        {
            "type": "string",
            "pattern": rf"^\s*({'|'.join(FUNCTIONS)})\s*(\(.*\))?\s*(>=|<=|>|<)\s*\S+\s+within\s+"
            r"\d+(\.\d+)?\s*(ms|s|m|h)(\s+tumbling)?(\s*,\s*at\s+least\s+\d+)?"
            r"(\s*,\s*after\s+\d+(\.\d+)?\s*(ms|s|m|h))?\s*$",
        },
        timed=True,
    ),
    "for": KeyDoc(
        "The condition must hold for so long before the rule fires.", "for: 20s", _DURATION, timed=True
    ),
    "clear_when": KeyDoc(
        "Predicate that ends an incident. With it only such an event ends it: missing data is no recovery.",
        "clear_when: speed_kmh > 25",
        _PREDICATE,
        timed=True,
    ),
    "hold": KeyDoc(
        "What ends the incident must last so long: `clear_when`, the window's condition being false, or, "
        "with neither, no further match.",
        "hold: 30s",
        _DURATION,
        timed=True,
    ),
    "cooldown": KeyDoc(
        "After an episode of a key ends none begins for so long; with `ewma_z` 10 min where absent.",
        "cooldown: 5m",
        _DURATION,
        timed=True,
    ),
    "late": KeyDoc(
        "What becomes of an event too late to be judged: `drop` (where absent) counts it and leaves it out, "
        "`amend` lets it add to an open episode. It never begins one.",
        "late: amend",
        {"enum": ["drop", "amend"]},
        timed=True,
    ),
    "order": KeyDoc(
        "`arrival` applies an event at once. `time` lets it wait until the watermark has passed it and then "
        "applies it in order of time, so that incidents do not depend on which event came first; they are "
        "raised up to `rules.lateness_s` and a tick later. Where absent `time` with both `having` and `for`, "
        "else `arrival`.",
        "order: time",
        {"enum": ["time", "arrival"]},
        timed=True,
    ),
    "absence": KeyDoc(
        "Fires when nothing of a key has arrived for so long, and clears when it is heard again. Silence is "
        "noted in steps of a tenth: it fires after 100 to 110 % of the time.",
        "absence: 90s",
        _DURATION,
        timed=True,
    ),
    "sequence": KeyDoc(
        f"2 to {MAX_STEPS} predicates met in this order, each strictly later than the one before, the last "
        "less than `within` after the first. Others in between do not matter.",
        "sequence: {steps: ['speed_kmh > 60', {type: traffic.flow, where: speed_kmh < 15}], within: 5m}",
        _form(
            ("steps", "within"),
            steps={"type": "array", "minItems": 2, "maxItems": MAX_STEPS, "items": _STEP},
            within=_DURATION,
        ),
        timed=True,
    ),
    "fence": KeyDoc(
        "What a subject does at the border of areas: `inside`, `enters`, `leaves`, `crosses`, `dwells 90s`. "
        "It stays inside until `margin_m` beyond the border; its first position makes no transition unless "
        "`initial: outside`; after `lost` (10 min where absent) without a position it is forgotten.",
        "fence: {when: dwells 90s, area: {kind: underpass}, initial: unknown, margin_m: 20, lost: 5m}",
        _form(
            ("when", "area"),
            when=_WHEN,
            area=_CHOICE,
            initial={"enum": ["unknown", "outside"]},
            margin_m=_NUMBER,
            lost=_DURATION,
        ),
        timed=True,
    ),
    "near": KeyDoc(
        f"An event of another stream with the same key, at most `metres` (up to {MAX_METRES:,}) away and "
        "less than `within` before or after.",
        "near: {stream: feedback, type: feedback.report, metres: 300, within: 10m}",
        _form(
            ("stream", "metres", "within"),
            stream={"enum": [item.value for item in Stream]},
            type=_TYPES,
            where=_PREDICATE,
            metres=_NUMBER,
            within=_DURATION,
        ),
        timed=True,
    ),
    "severity": KeyDoc(
        "Priority of its incidents, or rising steps by the value that `having` measures.",
        "severity: [{at: 60, level: medium}, {at: 120, level: high}]",
        {
            "anyOf": [
                _LEVEL,
                {"type": "array", "minItems": 1, "items": _form(("at", "level"), at=_NUMBER, level=_LEVEL)},
            ]
        },
    ),
    "category": KeyDoc(
        "What the incident is about, for routing; the stream where absent. Also as `route: {category: …}`."
        " A field of the event may follow: `citizen.{category}` becomes `citizen.light`, and what policies"
        " say of `citizen` holds for it unless they say something of `citizen.light`.",
        "category: traffic",
        _CATEGORY,
    ),
    "route": KeyDoc(
        "Category, which with the ward chooses the team.",
        "route: {category: flood}",
        _form(category=_CATEGORY),
    ),
    "clocks": KeyDoc(
        "Time allowed to acknowledge and to resolve.",
        "clocks: {acknowledge: 5m, resolve: 2h}",
        _form(acknowledge=_DURATION, resolve=_DURATION),
    ),
    "enabled": KeyDoc(
        "`false` keeps the rule without running it.",
        "enabled: false",
        {"type": "boolean"},
    ),
}
"""Every key of a rule, in the order a rule is best written."""

REQUIRED: Final = ("rule", "title", "stream", "severity")


def _any_of(*keys: str) -> Schema:
    return {"anyOf": [{"required": [key]} for key in keys]}


def _combinations() -> list[Schema]:
    """Return what cannot stand together or alone. The parser alone tells an early warning from a window."""
    warns: Schema = {"required": ["having"], "properties": {"having": {"pattern": r"^\s*ewma_z\b"}}}
    lasting: Schema = {
        "required": ["fence"],
        "properties": {"fence": {"properties": {"when": {"pattern": r"^\s*(inside|dwells)\b"}}}},
    }
    patterns = [
        {"if": {"required": [kind]}, "then": {"not": _any_of(*refused)}}
        for kind, refused in ALONE.items()
        if kind != "ewma_z"
    ]
    patterns.append({"if": warns, "then": {"not": _any_of(*ALONE["ewma_z"])}})
    pattern = _any_of("sequence", "fence", "near")
    return [
        *patterns,
        {
            "if": {"required": ["absence"]},
            "then": {"not": _any_of("having", "for", "clear_when", "hold", "cooldown", "late", "order")},
        },
        {
            "if": {"not": _any_of("absence", "having", "sequence", "fence", "near")},
            "then": {"required": ["where"]},
        },
        {"if": {"properties": {"severity": {"type": "array"}}}, "then": {"required": ["having"]}},
        {"if": {"anyOf": [pattern, warns], "not": lasting}, "then": {"required": ["hold"]}},
        {
            "if": {"not": _any_of("having", "absence", "sequence", "fence", "near")},
            "then": _any_of("hold", "clear_when"),
        },
    ]


def rule_schema() -> Schema:
    """Return the JSON Schema (2020-12) of a rule file: one rule or a list of them.

    Whatever the parser accepts is valid, except that true and false are not to be quoted and names that YAML
    reads as something else (null, dates) are. Not everything valid compiles: only the parser reads
    predicates.
    """
    rule: Schema = {
        "type": "object",
        "properties": {name: {"description": doc.meaning, **doc.schema} for name, doc in KEYS.items()},
        "required": list(REQUIRED),
        "additionalProperties": False,
        "allOf": _combinations(),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Rules of the operations centre",
        "anyOf": [{"$ref": "#/$defs/rule"}, {"type": "array", "items": {"$ref": "#/$defs/rule"}}],
        "$defs": {"rule": rule},
    }


def schema_text() -> str:
    """Return the schema as the file `docs/rule.schema.json` holds it."""
    return json.dumps(rule_schema(), ensure_ascii=False, indent=2) + "\n"
