"""How far a run is, for people who wait for a Python call: a bar in a notebook, and on a
terminal.
"""

import sys
from html import escape
from importlib import import_module
from typing import Any, Final

from dedup.clock import Observer

_STEP: Final = 0.01  # share of a stage after which a bar is drawn again
_NOTEBOOK: Final = "ZMQInteractiveShell"  # the shell of Jupyter, Colab and VS Code


def observer(progress: bool | None) -> Observer | None:  # noqa: FBT001  # the value of a keyword
    """What is shown: nothing if `progress` is False; None means a bar where somebody can see it."""
    if progress is False:
        return None
    if _in_notebook():
        return NotebookBar()
    return TerminalBar() if progress or sys.stderr.isatty() else None


def _in_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == _NOTEBOOK


class NotebookBar:
    """The stage under way as a bar of HTML, which needs no widgets; it is gone when the run is
    done.
    """

    def __init__(self) -> None:
        self._handle: Any = None
        self._stage, self._share, self._note = "", 0.0, ""

    def begin(self, stage: str) -> None:
        """A bar for the stage."""
        self._stage, self._share, self._note = stage, 0.0, ""
        self._show()

    def advance(self, share: float) -> None:
        """Move the bar."""
        if share >= self._share + _STEP or share >= 1:
            self._share = share
            self._show()

    def note(self, text: str) -> None:
        """Words behind the bar."""
        if text != self._note:
            self._note = text
            self._show()

    def end(self) -> None:
        """Empty the bar: another stage follows, or the result."""
        self._draw("")

    def _show(self) -> None:
        words = self._note or f"{self._share:.0%}"
        bar = f"<progress max=1 value={self._share:.3f}></progress>"
        self._draw(f"<span>{escape(self._stage)}</span> {bar} <span>{escape(words)}</span>")

    def _draw(self, text: str) -> None:
        shown: Any = import_module("IPython.display")  # there in every notebook
        if self._handle is None:
            self._handle = shown.display(shown.HTML(text), display_id=True)
        else:
            self._handle.update(shown.HTML(text))


class TerminalBar:
    """The stage under way as a bar of tqdm, which `datasets` uses as well."""

    def __init__(self) -> None:
        self._bar: Any = None

    def begin(self, stage: str) -> None:
        """A bar for the stage."""
        form = "{desc:>11} {bar} {percentage:3.0f} % {postfix}"
        self._bar = import_module("tqdm").tqdm(  # `datasets` needs it
            total=1.0, desc=stage, bar_format=form, leave=False, file=sys.stderr
        )

    def advance(self, share: float) -> None:
        """Move the bar."""
        self._bar.update(min(share, 1.0) - self._bar.n)

    def note(self, text: str) -> None:
        """Words behind the bar."""
        self._bar.set_postfix_str(text)

    def end(self) -> None:
        """Take the bar away."""
        self._bar.close()
