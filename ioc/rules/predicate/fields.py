"""Which names a predicate may use for given event types, read off the data structures themselves."""

import types
import typing
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cache

import msgspec

from ioc.model.events import DATA_TYPES, Extra
from ioc.rules.errors import PredicateError, did_you_mean
from ioc.rules.predicate.ast import Field, Kind

_EVENT_FIELDS: Mapping[str, Kind] = {
    "source": Kind.TEXT,
    "subject": Kind.TEXT,
    "ward": Kind.TEXT,
    "lon": Kind.NUMBER,
    "lat": Kind.NUMBER,
}
_KINDS: Mapping[type, Kind] = {
    str: Kind.TEXT,
    int: Kind.NUMBER,
    float: Kind.NUMBER,
    bool: Kind.TRUTH,
}


class FieldTable:
    """Resolves names for rules over `event_types`; a name must mean the same in each of them."""

    def __init__(self, event_types: Sequence[str]) -> None:
        self._fields: dict[str, Field] = {
            name: Field(name, "event", name, kind) for name, kind in _EVENT_FIELDS.items()
        }
        self._maps: dict[str, Kind] = {}
        self._unusable: dict[str, str] = {}
        declared = [_declared(name) for name in event_types]
        for name in {name: None for fields in declared for name in fields}:
            self._add(name, event_types, [fields.get(name) for fields in declared])

    @property
    def names(self) -> list[str]:
        """Every usable name, maps with a trailing dot."""
        return [*self._fields, *(f"{name}." for name in self._maps)]

    def resolve(self, parts: tuple[str, ...], offset: int) -> Field:
        """Return the field called `parts`.

        Raises:
            PredicateError: no such field, a field not in all types, or one that cannot be compared.
        """
        head, name = parts[0], ".".join(parts)
        if head in self._maps:
            if len(parts) != 2:
                raise PredicateError(f"{head!r} is a map", offset, f"name one entry, as in {head}.lane")
            return Field(name, "data", head, self._maps[head], key=parts[1])
        if head in self._unusable:
            raise PredicateError(self._unusable[head], offset)
        if len(parts) == 1 and head in self._fields:
            return self._fields[head]
        hint = did_you_mean(name if len(parts) == 1 else parts[-1], self._fields)
        if hint is None:
            hint = f"known: {', '.join(sorted(self._fields))}; a source's own fields are extra.name"
        raise PredicateError(f"unknown field {name!r}", offset, hint)

    def _add(self, name: str, event_types: Sequence[str], found: Sequence["_Declared | None"]) -> None:
        first = next(declared for declared in found if declared is not None)
        absent = [kind for kind, declared in zip(event_types, found, strict=True) if declared is None]
        if absent:
            self._unusable[name] = f"{name!r} is not a field of {absent[0]}: name the rule's `type`"
        elif any(declared != first for declared in found):
            self._unusable[name] = f"{name!r} differs between the rule's types: name one `type`"
        elif first.map_of is not None:
            self._maps[name] = first.map_of
        elif first.kind is None:
            self._unusable[name] = f"{name!r} is a list and cannot be used in a predicate"
        else:
            self._fields[name] = Field(name, "data", name, first.kind, choices=first.choices)


class _Declared(typing.NamedTuple):
    kind: Kind | None
    map_of: Kind | None = None
    choices: tuple[str, ...] = ()


@cache
def _declared(event_type: str) -> dict[str, _Declared]:
    hints = typing.get_type_hints(DATA_TYPES[event_type])
    return {
        field.name: _describe(hints[field.name]) for field in msgspec.structs.fields(DATA_TYPES[event_type])
    }


def _describe(hint: object) -> _Declared:
    if isinstance(hint, types.UnionType):
        inner = [part for part in typing.get_args(hint) if part is not type(None)]
        return _describe(inner[0])
    if hint == Extra:
        return _Declared(None, Kind.ANY)
    if typing.get_origin(hint) is dict:
        return _Declared(None, _KINDS[typing.get_args(hint)[1]])
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _Declared(Kind.TEXT, choices=tuple(item.value for item in hint))
    return _Declared(_KINDS[hint]) if isinstance(hint, type) and hint in _KINDS else _Declared(None)
