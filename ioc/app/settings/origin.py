"""Where a setting came from: a flag, an environment variable, a line of the file.

Errors name it, and a default is told from a value that somebody chose.
"""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel

Location = tuple[int | str, ...]

PREFIX: Final = "IOC_"
DELIMITER: Final = "__"
_FLAGS: Final[dict[Location, str]] = {
    ("data",): "--data",
    ("http", "port"): "--port",
    ("http", "host"): "--host",
    ("mqtt", "port"): "--mqtt-port",
}
_HEADER = re.compile(r"\s*\[{1,2}([^\[\]]+)]")
_KEY = re.compile(r"\s*([\w.\"'\s-]+?)\s*=")


class Origins:
    """What each source says: the command line before the environment before the file."""

    def __init__(self, path: Path | None, text: str, overrides: Mapping[str, Any]) -> None:
        self._path = path
        self._text = text
        self._document = tomllib.loads(text)
        self._overrides = overrides

    def of(self, location: Location) -> str | None:
        """Return the flag, variable or `file:line` that sets `location`, None where it has its default."""
        if _holds(self._overrides, location):
            return _FLAGS.get(location[:2]) or _FLAGS.get(location[:1]) or "command line"
        if variable := _variable(location):
            return variable
        if self._path and _holds(self._document, location):
            line = _line_of(self._text, location)
            return f"{self._path}:{line}" if line else str(self._path)
        return None


def variable_name(location: Location) -> str:
    """Return the environment variable that sets `location`."""
    return PREFIX + DELIMITER.join(part for part in location if isinstance(part, str)).upper()


def no_json(settings: type[BaseModel]) -> list[tuple[str, str]]:
    """Return (variable, value) of those that should hold JSON and do not."""
    return [
        (name.upper(), value)
        for name, value in os.environ.items()
        if name.upper().startswith(PREFIX)
        and _wants_json(settings, name.upper().removeprefix(PREFIX).lower().split(DELIMITER))
        and _json(value) is None
    ]


def unknown_sections(settings: type[BaseModel]) -> list[str]:
    """Return the variables that name a section which is not there; pydantic passes over them in silence."""
    sections = {name.upper() for name in settings.model_fields}
    ours = (name.upper() for name in os.environ if name.upper().startswith(PREFIX) and DELIMITER in name)
    return sorted(name for name in ours if name.removeprefix(PREFIX).split(DELIMITER)[0] not in sections)


def names_beside(settings: type[BaseModel], location: Location) -> list[str]:
    """Return the settings that stand where `location` is, as its last part is written."""
    model = settings
    for part in (part for part in location[:-1] if isinstance(part, str)):
        field = model.model_fields.get(part)
        kinds = () if field is None else (field.annotation, *get_args(field.annotation))
        inner = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if not inner:
            return []
        model = inner[0]
    return list(model.model_fields)


def _wants_json(model: type[BaseModel], parts: list[str]) -> bool:
    field = model.model_fields.get(parts[0])
    if field is None:
        return False
    kind = field.annotation
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return len(parts) == 1 or _wants_json(kind, parts[1:])
    return get_origin(kind) not in (None, UnionType)


def _variable(location: Location) -> str | None:
    environment = {name.upper(): value for name, value in os.environ.items()}
    parts = [part for part in location if isinstance(part, str)]
    for length in range(len(parts), 0, -1):
        name = variable_name(tuple(parts[:length]))
        if name in environment and (
            length == len(parts) or _holds(_json(environment[name]), tuple(parts[length:]))
        ):
            return name
    return None


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _holds(tree: object, location: Location) -> bool:
    """Return whether `tree` says something at `location`; a value in the place of a table does."""
    for part in location:
        if not isinstance(tree, Mapping):
            return tree is not None
        if part not in tree:
            return False
        tree = tree[part]
    return True


def _line_of(text: str, location: Location) -> int | None:
    """Return the 1-based line that comes nearest to setting `location` in a TOML text."""
    wanted = tuple(part for part in location if isinstance(part, str))
    table: tuple[str, ...] = ()
    best, best_length = None, 0
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            found = table = _parts(header[1])
        elif key := _KEY.match(line):
            found = table + _parts(key[1])
        else:
            continue
        length = min(len(found), len(wanted))
        if found[:length] == wanted[:length] and length > best_length:
            best, best_length = number, length
    return best


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))
