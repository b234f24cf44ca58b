"""Rule tests on disk: which files there are, what they name, and what came of playing them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ioc.geo.geojson import InvalidAreas, parse_areas
from ioc.geo.index import AreaIndex
from ioc.model.places import Area
from ioc.rules.coverage import Coverage, Suite, cover
from ioc.rules.errors import InvalidRules, RuleError
from ioc.rules.testing import RuleTestFile, Verdict, parse_tests, program_for, run_test

FOLDER = "tests"
"""Beside the rule files; loading rules does not look into it."""


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """What came of one file: a verdict per test, or the reasons why it cannot be played."""

    file: Path
    verdicts: tuple[Verdict, ...] = ()
    errors: tuple[str, ...] = ()
    suite: Suite | None = field(default=None, repr=False)
    """What was played, None where it cannot be."""

    @property
    def failed(self) -> int:
        """Tests that failed; a file that cannot be played counts as one."""
        return sum(not verdict.passed for verdict in self.verdicts) + bool(self.errors)

    def as_dict(self) -> dict[str, object]:
        """Return the outcome as JSON data."""
        tests = [
            {
                "name": verdict.test.name,
                "line": verdict.test.line,
                "passed": verdict.passed,
                "difference": list(verdict.difference),
            }
            for verdict in self.verdicts
        ]
        return {"file": str(self.file), "tests": tests, "errors": list(self.errors)}


def find_test_files(paths: Sequence[Path]) -> list[Path]:
    """Return the test files of `paths`: files as they are, of a folder those in its folder `tests`.

    Raises:
        FileNotFoundError: a path does not exist, or there is no test in all of them.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist; name a rules folder or a file of rule tests")
        found += sorted((path / FOLDER).glob("*.yaml")) if path.is_dir() else [path]
    if not found:
        places = ", ".join(str(path / FOLDER) for path in paths)
        raise FileNotFoundError(f"no rule tests in {places}; write one as {FOLDER}/NAME.yaml")
    return found


def untested(folder: Path) -> list[str]:
    """Return the rule files of `folder` that have no test file of their name."""
    return [path.name for path in sorted(folder.glob("*.yaml")) if not (folder / FOLDER / path.name).exists()]


def play_files(files: Sequence[Path]) -> Iterator[FileOutcome]:
    """Play the files one by one."""
    for path in files:
        yield play_file(path)


def play_file(path: Path) -> FileOutcome:
    """Play every test of one file."""
    try:
        found = read_tests(str(path), path.read_text("utf-8"))
        return play(path, found, _rules(path, found), _areas(path, found))
    except (InvalidRules, InvalidAreas) as error:
        return FileOutcome(path, errors=tuple(str(item) for item in error.errors))
    except (OSError, UnicodeDecodeError) as error:
        return FileOutcome(path, errors=(f"{path}: {error}",))


def read_tests(file: str, text: str) -> RuleTestFile:
    """Return the tests of a file's `text`.

    Raises:
        InvalidRules: with every finding; no test at all is one.
    """
    found, wrong = parse_tests(file, text)
    if wrong:
        raise InvalidRules(wrong)
    if not found.tests:
        raise InvalidRules([RuleError(file, 1, 1, "no tests here", "list them under `tests:`")])
    return found


def play(path: Path, found: RuleTestFile, rules: dict[str, str], areas: Sequence[Area] | None) -> FileOutcome:
    """Play tests against `rules` (file name → text) on `areas`.

    Raises:
        InvalidRules: the rules do not compile, or a test names one that is not there.
    """
    program = program_for(found, rules, areas)
    index = None if areas is None else AreaIndex(areas)
    verdicts = tuple(run_test(test, program, index) for test in found.tests)
    return FileOutcome(path, verdicts, suite=Suite(rules, found.tests, index))


@dataclass(frozen=True, slots=True)
class FileCoverage:
    """What the tests notice of the rules of one file."""

    file: str
    rules: tuple[Coverage, ...]

    def as_dict(self) -> dict[str, object]:
        """Return it as JSON data."""
        rules = [
            {
                "rule": item.rule,
                "complete": item.complete,
                "missing": dict(item.missing),
                "changes": item.tried,
                "unnoticed": [
                    {
                        "line": mutant.line,
                        "column": mutant.column,
                        "condition": mutant.condition,
                        "written": mutant.written,
                        "changed": mutant.changed,
                    }
                    for mutant in item.unnoticed
                ],
            }
            for item in self.rules
        ]
        return {"file": self.file, "rules": rules}


def cover_files(outcomes: Sequence[FileOutcome]) -> tuple[int, Iterator[FileCoverage]]:
    """Return how many rule files `outcomes` play, all of whose tests pass, and what is noticed of each."""
    suites: dict[str, list[Suite]] = {}
    for outcome in outcomes:
        for file in outcome.suite.texts if outcome.suite else ():
            assert outcome.suite is not None
            suites.setdefault(file, []).append(outcome.suite)
    covered = (
        FileCoverage(file, tuple(cover(file, found[0].texts[file], found))) for file, found in suites.items()
    )
    return len(suites), covered


def _rules(path: Path, found: RuleTestFile) -> dict[str, str]:
    """Return the rule files a test names: relative to the folder above `tests`."""
    folder, here = path.resolve().parent.parent, Path.cwd()
    if folder.is_relative_to(here):  # as it is read best
        folder = folder.relative_to(here)
    return {str(folder / name): (folder / name).read_text("utf-8") for name in found.rules or (path.name,)}


def _areas(path: Path, found: RuleTestFile) -> Sequence[Area] | None:
    if isinstance(found.areas, str):
        return parse_areas((path.parent / found.areas).read_bytes(), kind="ward")
    return found.areas
