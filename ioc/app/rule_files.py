"""Rule files on disk: read before anything starts, so that a bad file stops the start at once."""

from collections.abc import Callable
from pathlib import Path

from ioc.geo.index import AreaIndex
from ioc.rules.compile import Program, load

Compile = Callable[[AreaIndex], Program]


def compile_folder(folder: Path) -> Compile:
    """Read `*.yaml` of `folder` and return how to compile them once the areas are known.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f"rules folder {folder} does not exist; set rules.folder or run from the project"
        )
    files = {str(path): path.read_text("utf-8") for path in sorted(folder.glob("*.yaml"))}

    def compile_rules(index: AreaIndex) -> Program:
        return load(files, index)

    return compile_rules
