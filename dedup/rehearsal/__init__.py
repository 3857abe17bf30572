"""The kernels of a first run, compiled by processes of their own while the dataset is read and
hashed.

What compiles keeps all that it compiled with for good, 300 MB for the verification, and takes ten
seconds of a core. The processes (`python -m dedup.rehearsal PART`) search and compare made pictures
under the settings of the run, so what they compiled is where the run looks for it. What they missed
the run compiles itself. No two of them need the same kernel.
"""

import logging
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from threading import Thread
from types import ModuleType
from typing import IO, Final, cast

from dedup.compiled import is_kept, kept_kernels
from dedup.config import Config
from dedup.engines.interpreter import started

logger = logging.getLogger(__name__)

SEARCH: Final = "search"
VERIFICATION: Final = "verification"
HASHING: Final = "hashing"

_LOOK_AGAIN: Final = 0.1  # seconds after which a bar is moved on

Compiled = Callable[[int, int], None]
"""Receives how many kernels were compiled, and how many there are at most."""


@contextmanager
def rehearsed(config: Config) -> Iterator[Callable[[Compiled], None] | None]:
    """Let what a run with these settings compiles be compiled meanwhile.

    Yields a function that waits for it, or None where all is there, or nothing could be kept.
    Processes that were not waited for are ended.
    """
    parts = missing(config)
    if not parts:
        yield None
        return

    use = "the search" if config.verify.method == "none" else "the search and the verification"
    logger.info(
        "Kernels for %s are compiled meanwhile, as in any first run; later runs here find them.",
        use,
    )
    with compiling(config, parts) as wait:
        yield wait


@contextmanager
def compiling(config: Config, parts: Sequence[str]) -> Iterator[Callable[[Compiled], None]]:
    """Let the kernels of these parts be compiled, by a process for each; what it yields waits for
    them.
    """
    settings = config.model_dump_json(include={"hash", "search", "verify"}).encode()
    total = sum(len(kept_kernels(module)) for part in parts for module in _modules(part))
    with ExitStack() as stack:
        rehearsals = [stack.enter_context(_rehearsal(part, settings)) for part in parts]
        yield lambda tell: _wait(rehearsals, total, tell)


class _Rehearsal:
    """A process, and how many kernels it has compiled so far."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process, self.compiled = process, 0
        self.reader = Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        for _ in cast("IO[bytes]", self.process.stdout):
            self.compiled += 1


@contextmanager
def _rehearsal(part: str, settings: bytes) -> Iterator[_Rehearsal]:
    with started(__name__, part, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        rehearsal = _Rehearsal(process)
        try:
            with suppress(BrokenPipeError), cast("IO[bytes]", process.stdin) as sink:
                sink.write(settings)
            yield rehearsal
        finally:
            process.kill()
            rehearsal.reader.join()


def _wait(rehearsals: Sequence[_Rehearsal], total: int, tell: Compiled) -> None:
    for rehearsal in rehearsals:
        while rehearsal.reader.is_alive():
            rehearsal.reader.join(_LOOK_AGAIN)
            tell(min(sum(one.compiled for one in rehearsals), total), total)

    codes = [rehearsal.process.wait() for rehearsal in rehearsals]
    if any(codes):
        logger.debug("Not everything was compiled ahead; the rest is compiled when it is needed.")


def missing_of_all(config: Config) -> list[str]:
    """As `missing`, with the kernels of hashing, which a run compiles itself."""
    from dedup.hashers import cells

    return [*([] if is_kept(cells._means) else [HASHING]), *missing(config)]


def unkept() -> str | None:
    """Why nothing that is compiled could be kept, if so: numba found no folder that it may write
    to.
    """
    from dedup.search import kernels

    if kept_kernels(kernels):
        return None

    return (
        "warm: no folder can be written to keep kernels in. Name one with the variable"
        " NUMBA_CACHE_DIR."
    )


def missing(config: Config) -> list[str]:
    """The parts of which a process here would not find the kernels."""
    from dedup.search import kernels
    from dedup.verify import closer, similarity

    verified = config.verify.method != "none"
    found: Mapping[str, bool] = {
        SEARCH: is_kept(kernels.scan),
        VERIFICATION: (
            not verified
            or (
                similarity.is_compiled() and (closer.is_compiled() or not config.verify.second_look)
            )
        ),
    }

    return [part for part, is_found in found.items() if not is_found]


def _modules(part: str) -> list[ModuleType]:
    """Where the kernels of a part are."""
    from dedup.decoding import png
    from dedup.hashers import bands, cells, resampling, thumbnail
    from dedup.search import kernels
    from dedup.verify import additions, agreement, closer, features, frames, similarity

    return {
        SEARCH: [kernels, frames],
        VERIFICATION: [similarity, closer, agreement, features, bands, additions],
        HASHING: [png, cells, resampling, thumbnail],
    }[part]
