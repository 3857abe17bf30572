"""A process that compiles the kernels of a part; each is a line of its output."""

import sys

from numba.core import event

from dedup.config import Config
from dedup.rehearsal.lean import compile_lean
from dedup.rehearsal.made import rehearse


class _Reporter(event.Listener):  # type: ignore[misc]  # numba has no types
    """Writes a line for each kernel that is compiled and kept."""

    def on_start(self, event: event.Event) -> None:
        """A function is going to be compiled."""

    def on_end(self, event: event.Event) -> None:
        """A function was compiled: only those with a folder are kept."""
        if event.data["dispatcher"].stats.cache_path is not None:
            sys.stdout.write("\n")
            sys.stdout.flush()


if __name__ == "__main__":
    compile_lean()
    event.register("numba:compile", _Reporter())
    rehearse(sys.argv[1], Config.model_validate_json(sys.stdin.buffer.read()))
