"""How long work shows how far it has come, on standard error."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from ioc.app.cli.output import notes
from ioc.app.eventlog.drain import Tell


@contextmanager
def progress() -> Iterator[Tell]:
    """Yield what shows progress on standard error: a bar, or a line a step where that is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=notes, transient=True, disable=not notes.is_terminal) as bar:
        task, said = bar.add_task("", total=None), ""

        def tell(what: str, done: int, whole: int) -> None:
            nonlocal said
            bar.update(task, description=what, completed=done, total=whole or None)
            if what != said and not notes.is_terminal:
                notes.print(f"· {what}")
            said = what

        yield tell
