"""Progress bars of a run, on a terminal."""

from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    pass


class Bars:
    """An observer that draws a progress bar for the stage under way."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: Any = None

    def begin(self, stage: str) -> None:
        """A bar for the stage."""
        self._task = self._progress.add_task(stage, total=1.0, note="")

    def advance(self, share: float) -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=share)

    def note(self, text: str) -> None:
        """Words behind the bar."""
        self._progress.update(self._task, note=text)

    def end(self) -> None:
        """Take the bar away: the log line of the stage stays."""
        self._progress.remove_task(self._task)


def progress(console: Any) -> Progress:
    """The progress display of a run."""
    return Progress(
        TextColumn("{task.description:>11}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
