"""The kernels of a first run, compiled by processes of their own while the dataset is read and hashed.

What compiles keeps all that it compiled with for good, 300 MB for the search and the verification, and takes
most of a minute of a core. The processes (`python -m dedup.rehearsal PART`) search and compare made pictures under the
settings of the run, so what they compiled lies where the run looks for it. What they missed the run compiles itself.
"""

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import IO, Final, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from dedup import tables
from dedup.compiled import is_kept
from dedup.config import Config, Resolved, resolve
from dedup.engines.interpreter import started
from dedup.search import kernels
from dedup.stages.candidates import candidates, radius
from dedup.tables import THUMBNAIL_SIDE
from dedup.verify import closer, similarity, verified
from dedup.verify.closer import CLOSE_SIDE, COLOUR_SIDE
from dedup.verify.second_look import Looks, looked

logger = logging.getLogger(__name__)

_SEARCH: Final = "search"  # and verification
_LOOK: Final = "look"  # the second one
_PICTURES: Final = 6_000  # so many that the search is planned, and not every code compared with every other
_COPIED: Final = 8  # of them, so that there are pairs
_NEAR: Final = 4  # of the copies, the first: their codes differ in a bit, those of the others in none
_FRAME: Final = 3  # pixels of the first one's thumbnail
_BUDGET: Final = 20_000  # candidates

Process = subprocess.Popen[bytes]


@contextmanager
def rehearsed(config: Config) -> Iterator[Callable[[], None] | None]:
    """Let what a run with these settings compiles be compiled meanwhile.

    Yields a function that waits for it, or None where all is there, or nothing could be kept. Processes that were not
    waited for are ended.
    """
    parts = _missing(_resolved(config))
    if not parts:
        yield None
        return
    use = "the search" if config.verify.method == "none" else "the search and the verification"
    logger.info("Kernels for %s are compiled meanwhile, as in any first run; later runs here find them.", use)
    settings = config.model_dump_json(include={"hash", "search", "verify"}).encode()
    with ExitStack() as stack:
        processes = [stack.enter_context(_rehearsing(part, settings)) for part in parts]
        yield lambda: _wait(processes)


@contextmanager
def _rehearsing(part: str, settings: bytes) -> Iterator[Process]:
    with started(__name__, part, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        try:
            with suppress(BrokenPipeError), cast("IO[bytes]", process.stdin) as told:
                told.write(settings)
            yield process
        finally:
            process.kill()


def _wait(processes: Sequence[Process]) -> None:
    ends = [process.wait() for process in processes]
    if any(ends):
        logger.debug("Not everything was compiled ahead; the rest is compiled when it is needed.")


def _resolved(config: Config) -> Resolved:
    """What decides which kernels there are."""
    return resolve(Config(hash=config.hash, search=config.search, verify=config.verify), ())


def _missing(resolved: Resolved) -> list[str]:
    found = {
        _SEARCH: is_kept(kernels.scan) and (resolved.verify.method == "none" or similarity.is_compiled()),
        _LOOK: not resolved.verify.second_look or closer.is_compiled(),
    }
    return [part for part, is_found in found.items() if not is_found]


def rehearse(part: str, config: Config) -> None:
    """Do one part of a run with these settings on made pictures.

    The two begin apart and share what the other one has compiled by then.
    """
    resolved = replace(_resolved(config), max_candidates=_BUDGET)
    random = np.random.default_rng(0)
    large = [_picture(random) for _ in range(_COPIED)]
    hashes = _hashes(resolved, large, random)
    thumbnails = tables.fixed_width(hashes["thumbnail"])
    if part == _LOOK:
        _search(hashes, resolved.but(method="none"))
        list(looked(iter([_copies(resolved)]), lambda samples: _seen(samples, large), thumbnails, Looks(), threads=1))
        return
    if resolved.verify.method != "none":
        verified(thumbnails, np.arange(1), np.arange(1, 2))
    _search(hashes, resolved)
    _search(hashes.slice(0, _PICTURES + _NEAR), resolved.but(method="none"))  # where no two codes are equal


def _search(hashes: pa.Table, resolved: Resolved) -> None:
    resolved = resolved.but(max_distance=radius(hashes, resolved, threads=1))
    list(candidates(hashes, resolved, limit=100 * _BUDGET, threads=1))


def _copies(resolved: Resolved) -> pa.Table:
    """What `candidates` has for the copies."""
    first = np.arange(_COPIED)
    distances = [np.zeros(_COPIED, np.uint16)] * len(resolved.hash.algorithms)
    framed = np.where(first == 0, tables.BOTH, 0).astype(np.uint8)
    columns = [first, first + _PICTURES, first.astype(np.uint8), *distances, np.ones(_COPIED, np.float32), framed]
    schema = tables.candidates_schema(resolved.hash.algorithms)
    return pa.table([*columns, *tables.not_looked_at(_COPIED)], schema=schema)


def _seen(samples: Sequence[int], large: Sequence[NDArray[np.uint8]]) -> Iterator[pa.RecordBatch]:
    """What the second look sees of samples."""
    n = len(samples)
    greys = [large[sample % _PICTURES % _COPIED].tobytes() for sample in samples]
    chroma = [bytes(2 * COLOUR_SIDE**2)] * n
    yield pa.record_batch({"side": pa.array([CLOSE_SIDE] * n, pa.int32()), "grey": greys, "chroma": chroma})


def _picture(random: np.random.Generator) -> NDArray[np.uint8]:
    """Soft blots, (128, 128)."""
    blots = Image.fromarray(random.integers(0, 256, (8, 8), np.uint8))
    return np.asarray(blots.resize((CLOSE_SIDE, CLOSE_SIDE), Image.Resampling.BICUBIC))


def _hashes(resolved: Resolved, large: Sequence[NDArray[np.uint8]], random: np.random.Generator) -> pa.Table:
    """What `hashes` has for the search: codes at random; the last samples are copies of the first."""
    n, side = _PICTURES + _COPIED, THUMBNAIL_SIDE
    small = [Image.fromarray(picture).resize((side, side), Image.Resampling.BOX) for picture in large]
    thumbnails = random.integers(0, 256, (_PICTURES, side, side), np.uint8)
    thumbnails[:_COPIED] = [np.asarray(image) for image in small]
    inner = slice(_FRAME, -_FRAME)
    thumbnails[0] = 0
    thumbnails[0, inner, inner] = np.asarray(small[0].resize((side - 2 * _FRAME, side - 2 * _FRAME)))
    columns = {
        "information": pa.array(np.full(n, 100, np.float32)),
        "pixel_digest": _binary(np.arange(n, dtype=np.uint64)[:, None].repeat(tables.DIGEST_BYTES // 8, 1)),
        "thumbnail": _binary(_with_copies(thumbnails)),
    }
    for name in resolved.hash.algorithms:
        codes = _with_copies(random.integers(0, 256, (_PICTURES, resolved.hash.bits // 8), np.uint8))
        codes[_PICTURES : _PICTURES + _NEAR, 0] ^= 1
        columns[name] = _binary(codes)
        for turn in tables.ORIENTATIONS[resolved.search.orientations]:
            turned = random.integers(0, 256, codes.shape, np.uint8)
            turned[1:_COPIED] = codes[: _COPIED - 1]  # turned, they are their neighbours: turned pairs
            columns[tables.code_column(name, turn)] = _binary(turned)
    return pa.table(columns)


def _with_copies(of: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.concatenate([of, of[:_COPIED]])


def _binary(rows: NDArray[np.generic]) -> pa.Array:
    """Rows of an array as fixed-size binary."""
    rows = np.ascontiguousarray(rows)
    width = rows.nbytes // len(rows)
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(rows), [None, pa.py_buffer(rows)])


if __name__ == "__main__":
    rehearse(sys.argv[1], Config.model_validate_json(sys.stdin.buffer.read()))
