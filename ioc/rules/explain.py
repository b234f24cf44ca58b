"""Why a rule fired: evidence and one sentence in both languages."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ioc.model.events import Event
from ioc.model.incidents import Evidence, Why
from ioc.model.texts import Text
from ioc.model.times import HOUR_US, MINUTE_US, SECOND_US
from ioc.rules.predicate.ast import Among, Both, Compare, Condition, Constant, Field, Is, Not
from ioc.rules.predicate.values import value_reader
from ioc.rules.rule import Having, Rule
from ioc.rules.schema import BRACES, SLUG
from ioc.rules.state import Seen

Scalar = float | str | bool | None

_LABELS: Mapping[str, tuple[str, str]] = {
    "speed_kmh": ("tốc độ", "speed"),
    "occupancy": ("độ chiếm dụng", "occupancy"),
    "volume_veh": ("lưu lượng", "volume"),
    "people": ("số người", "people"),
    "vehicles": ("số xe", "vehicles"),
    "stopped_vehicles": ("số xe dừng", "stopped vehicles"),
    "confidence": ("độ tin cậy", "confidence"),
    "duration_s": ("thời gian", "duration"),
    "plate": ("biển số", "plates"),
    "subject": ("đối tượng", "subjects"),
    "source": ("nguồn", "sources"),
}
_UNITS: Mapping[str, str] = {
    "kmh": "km/h",
    "s": "s",
    "m": "m",
    "cm": "cm",
    "mm": "mm",
    "deg": "°",
    "veh": "xe",
}
_FUNCTIONS: Mapping[str, tuple[str, str]] = {
    "sum": ("tổng", "total"),
    "avg": ("trung bình", "average"),
    "min": ("thấp nhất", "lowest"),
    "max": ("cao nhất", "highest"),
    "p50": ("trung vị", "median"),
    "p95": ("phân vị 95", "95th percentile of"),
    "stddev": ("độ lệch chuẩn", "standard deviation of"),
    "ewma_z": ("độ lệch z của", "z-score of"),
    "distinct": ("số khác nhau:", "different"),
}
_SIGNS: Mapping[str, str] = {">=": "≥", "<=": "≤", "==": "=", "!=": "≠"}
_DURATIONS = ((HOUR_US, "giờ", "h"), (MINUTE_US, "phút", "min"), (SECOND_US, "giây", "s"))


class Finding(NamedTuple):
    """What a machine has to say beyond the fields of the event: evidence and a clause in both languages."""

    evidence: tuple[Evidence, ...]
    vi: str
    en: str


class Explainer:
    """Explains one rule. Values are read when an event matters and kept until the rule fires."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._asked = list(_comparisons(rule.where.condition)) if rule.where else []
        fields = {field.name: field for field in (*(field for field, _, _ in self._asked), *rule.shown)}
        self._readers: list[tuple[str, Callable[[Event], Scalar]]] = [
            (name, value_reader(field)) for name, field in fields.items()
        ]

    def seen(self, event: Event) -> Seen:
        """Return what is kept of `event`."""
        values = {name: _known(read(event)) for name, read in self._readers}
        return Seen(event.source, event.ward, event.lon, event.lat, values)

    def why(
        self,
        seen: Seen,
        key: str,
        measured: float | None,
        count: int,
        ids: Sequence[str],
        finding: Finding | None = None,
    ) -> Why:
        """Return the explanation; `measured` is having's value, or the seconds of silence."""
        evidence = [
            Evidence(
                name=field.name,
                value=seen.values.get(field.name),
                op=op,
                threshold=against,
                unit=_unit(field),
            )
            for field, op, against in self._asked
        ]
        summary = self._default_summary(evidence, measured, finding)
        rule = self._rule
        if rule.having is not None:
            evidence.append(_measured(rule.having, measured))
        elif rule.absence_us is not None:
            limit = rule.absence_us / SECOND_US
            evidence.append(Evidence(name="silence", value=measured, op=">=", threshold=limit, unit="s"))
        if finding is not None:
            evidence += finding.evidence
        if rule.summary is not None:
            summary = self.render(rule.summary, seen, key, measured, count)
        return Why(rule_version=rule.version, summary=summary, evidence=tuple(evidence), event_ids=tuple(ids))

    def category(self, seen: Seen) -> str:
        """Return the category; the rule's own alone where the field after it holds no name."""
        own, _, field = self._rule.category.partition(".")
        value = seen.values.get(field.strip("{}")) if field else None
        return f"{own}.{value}" if isinstance(value, str) and SLUG.fullmatch(value) else own

    def render(self, text: Text, seen: Seen, key: str, measured: float | None, count: int) -> Text:
        """Fill the placeholders of a title or summary."""
        if "{" not in text.vi and "{" not in text.en:
            return text
        window_us, limit = _limits(self._rule)

        def fill(template: str, vietnamese: bool) -> str:
            known: dict[str, Scalar] = {
                **{name: self._word(value, vietnamese) for name, value in seen.values.items()},
                "value": measured if measured is not None else count,
                "threshold": limit,
                "count": count,
                "window": duration_texts(window_us)[0 if vietnamese else 1],
                "source": seen.source,
                "ward": seen.ward,
                "key": key,
            }
            return BRACES.sub(lambda match: _show(known.get(match.group(1)), vietnamese), template)

        return Text(fill(text.vi, True), fill(text.en, False))

    def _word(self, value: Scalar, vietnamese: bool) -> Scalar:
        word = self._rule.words.get(value) if isinstance(value, str) else None
        if word is None:
            return value
        return word.vi if vietnamese else word.en

    def _default_summary(
        self, evidence: Sequence[Evidence], measured: float | None, finding: Finding | None
    ) -> Text:
        vi, en = [], []
        for item in evidence:
            if not isinstance(item.value, str | bool) and item.value is not None:
                labels = _LABELS.get(item.name, (item.name, item.name))
                vi.append(_clause(labels[0], item, vietnamese=True))
                en.append(_clause(labels[1], item, vietnamese=False))
        rule = self._rule
        if rule.having is not None:
            texts = _having_clause(rule.having, measured)
            vi.append(texts[0])
            en.append(texts[1])
        if rule.absence_us is not None:
            limit = duration_texts(rule.absence_us)
            vi.append(f"không có dữ liệu hơn {limit[0]}")
            en.append(f"no data for more than {limit[1]}")
        if finding is not None:
            vi.append(finding.vi)
            en.append(finding.en)
        if rule.for_us:
            lasting = duration_texts(rule.for_us)
            vi.append(f"kéo dài từ {lasting[0]}")
            en.append(f"lasting {lasting[1]} or more")
        vi_text, en_text = "; ".join(vi) or rule.title.vi, "; ".join(en) or rule.title.en
        return Text(vi_text[:1].upper() + vi_text[1:], en_text[:1].upper() + en_text[1:])


def _limits(rule: Rule) -> tuple[int, float]:
    """Return the time and the threshold that {window} and {threshold} of a template show."""
    if rule.having is not None:
        return rule.having.window_us, rule.having.threshold
    if rule.near is not None:
        return rule.near.within_us, rule.near.metres
    asked_us = rule.absence_us or 0
    if rule.sequence is not None:
        asked_us = rule.sequence.within_us
    elif rule.fence is not None:
        asked_us = rule.fence.dwell_us
    return asked_us or rule.hold_us, asked_us / SECOND_US


def _comparisons(condition: Condition) -> list[tuple[Field, str, Scalar]]:
    """Return the comparisons that must all hold: field, operator, threshold."""
    if isinstance(condition, Both):
        return [*_comparisons(condition.left), *_comparisons(condition.right)]
    if isinstance(condition, Compare) and isinstance(condition.left, Field):
        if isinstance(condition.right, Constant):
            return [(condition.left, condition.op, condition.right.value)]
    elif isinstance(condition, Among) and isinstance(condition.value, Field):
        return [(condition.value, "in", ", ".join(str(option) for option in condition.options))]
    elif isinstance(condition, Is) and isinstance(condition.value, Field):
        return [(condition.value, "==", True)]
    elif isinstance(condition, Not) and isinstance(condition.inner, Is):
        inner = condition.inner.value
        return [(inner, "==", False)] if isinstance(inner, Field) else []
    return []


def _known(value: Scalar) -> Scalar:
    """What is no number is missing; a text keeps its plain type, so that stored and live values are equal."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, str) else value


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _unit(field: Field) -> str | None:
    return _UNITS.get(field.name.rpartition("_")[2]) if "_" in field.name else None


def _measured(having: Having, value: float | None) -> Evidence:
    return Evidence(
        name=having.text.partition(having.op)[0].strip(),
        value=None if value is None else _finite(value),
        op=having.op,
        threshold=having.threshold,
    )


def _clause(label: str, item: Evidence, *, vietnamese: bool) -> str:
    unit = "" if item.unit is None else f" {item.unit}"
    if item.unit == "xe" and not vietnamese:
        unit = " vehicles"
    limit = "ngưỡng" if vietnamese else "threshold"
    sign = _SIGNS.get(item.op or "", item.op)
    return (
        f"{label} {_show(item.value, vietnamese)}{unit} ({limit} {sign} {_show(item.threshold, vietnamese)})"
    )


def _having_clause(having: Having, value: float | None) -> tuple[str, str]:
    window = duration_texts(having.window_us)
    sign = _SIGNS.get(having.op, having.op)
    texts = []
    for vietnamese in (True, False):
        shown, limit = _show(value, vietnamese), _show(having.threshold, vietnamese)
        which = 0 if vietnamese else 1
        if having.function == "count":
            head = f"{shown} lần" if vietnamese else f"{shown} times"
        elif having.function == "rate":
            head = f"{shown} lần mỗi phút" if vietnamese else f"{shown} times a minute"
        else:
            name = having.argument.name if isinstance(having.argument, Field) else "?"
            name = having.text[having.text.find("(") + 1 : having.text.rfind(")")] if name == "?" else name
            head = f"{_FUNCTIONS[having.function][which]} {_LABELS.get(name, (name, name))[which]} {shown}"
        each = ("mỗi ", "each ") if having.tumbling else ("", "")
        few = (
            ("", "")
            if not having.samples
            else (f", từ {having.samples} mẫu", f", of {having.samples} or more")
        )
        texts.append(
            f"{head} trong {each[0]}{window[0]}{few[0]} (ngưỡng {sign} {limit})"
            if vietnamese
            else f"{head} within {each[1]}{window[1]}{few[1]} (threshold {sign} {limit})"
        )
    return texts[0], texts[1]


def duration_texts(time_us: int) -> tuple[str, str]:
    """Return a duration in words, vi and en."""
    for unit_us, vi, en in _DURATIONS:
        if time_us >= unit_us and time_us % unit_us == 0:
            return f"{time_us // unit_us} {vi}", f"{time_us // unit_us} {en}"
    return f"{_show(time_us / SECOND_US, True)} giây", f"{_show(time_us / SECOND_US, False)} s"


def number_texts(number: float) -> tuple[str, str]:
    """Return a number in words, vi and en."""
    return _show(number, True), _show(number, False)


def _show(value: Scalar, vietnamese: bool) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return ("có" if value else "không") if vietnamese else ("yes" if value else "no")
    if isinstance(value, int | float):
        text = f"{value:.2f}".rstrip("0").rstrip(".") if abs(value) < 1e15 else f"{value:.3g}"
        return text.replace(".", ",") if vietnamese else text
    return value
