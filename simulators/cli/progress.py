"""How long work shows how far it has come, on standard error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


@contextmanager
def progress(name: str, total: float, quiet: bool) -> Iterator[Callable[[float, str], None]]:
    """Yield what shows how much of `total` is done, and some words; nothing if `quiet` or on no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    hidden = quiet or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task(name, total=total)
        yield lambda done, words: bar.update(task, completed=done, description=words)
