"""Rule files on disk: read before anything starts, so that a bad file stops the start at once."""

from pathlib import Path

import structlog

from ioc.geo.index import AreaIndex
from ioc.rules.compile import Program, compile_rules
from ioc.rules.errors import InvalidRules, RuleError
from ioc.rules.rule import Rule
from ioc.rules.schema import parse_rules

_log = structlog.get_logger()


class RuleFolder:
    """The rule files as they were at the start, compiled against the areas in force.

    Raises:
        FileNotFoundError: there is no such folder.
        InvalidRules: a file is wrong by itself; whether its areas exist shows when they are known.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise FileNotFoundError(f"rules folder {folder} does not exist; set rules.folder")
        self.rules: list[Rule] = []
        self.texts: dict[str, str] = {}
        """File → its text, as read."""
        errors: list[RuleError] = []
        for path in sorted(folder.glob("*.yaml")):
            text, unread = _read_text(path)
            found, wrong = parse_rules(str(path), text)
            self.texts[str(path)] = text
            self.rules += found
            errors += unread or wrong
        if errors:
            raise InvalidRules(errors)
        self._program: Program | None = None
        self._index: AreaIndex | None = None

    def compiled_for(self, index: AreaIndex) -> Program:
        """Return the program for `index`; the same object as long as the index is.

        Boundaries that no longer fit the rules do not replace a running program: it goes on with the old
        ones, and an error says why.

        Raises:
            InvalidRules: a rule names an area that is not there, and no earlier program runs.
        """
        if index is self._index and self._program is not None:
            return self._program
        self._index = index
        try:
            self._program = compile_rules(self.rules, index)
        except InvalidRules as error:
            if self._program is None:
                raise
            _log.error("the rules do not fit the new areas and go on with the old ones", errors=str(error))
        return self._program


def read_rule_text(path: Path) -> str:
    """Return the text of a rule file.

    Raises:
        InvalidRules: it cannot be read, is not UTF-8, or holds nothing.
    """
    text, wrong = _read_text(path)
    if not wrong and not text.strip():
        wrong = [RuleError(str(path), 1, 1, "there is no rule in it", "begin with `rule: a-name`")]
    if wrong:
        raise InvalidRules(wrong)
    return text


def _read_text(path: Path) -> tuple[str, list[RuleError]]:
    try:
        data = path.read_bytes()
        return data.decode("utf-8-sig"), []
    except OSError as error:
        return "", [RuleError(str(path), 1, 1, f"cannot be read: {error.strerror}")]
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        return "", [RuleError(str(path), line, column, "not UTF-8", "save the file as UTF-8")]
