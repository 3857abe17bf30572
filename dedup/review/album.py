"""The pictures of a run for its page: of the dataset where it is, else the stored thumbnails."""

import logging
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from queue import Queue
from threading import Event, Lock, Thread
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from PIL import Image

from dedup import tables
from dedup.config import Config, build
from dedup.engines import Engine, Limits, choose
from dedup.errors import DedupError
from dedup.formats import Source, open_source
from dedup.review.opened import OpenedRun
from dedup.review.work import WORK, jpeg
from dedup.runs.stored import read_manifest
from dedup.tables import storage

logger = logging.getLogger(__name__)

THUMB: Final = "thumb"
LARGE: Final = "large"
_SIDES: Final = {THUMB: (200, 80), LARGE: (1400, 88)}
"""Pixels of the longer side, and the quality of the JPEG: 1,400 fill half of a large screen twice
enlarged.
"""

_KEPT_BYTES: Final = 64_000_000  # of pictures in memory: some 8,000 thumbnails
_WORKERS: Final = {THUMB: 2, LARGE: 1}
_SECONDS: Final = 30.0  # of one picture, where the run had no limit
_PATIENCE: Final = 4.0  # seconds that a picture waits for the dataset to be opened


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture as it is shown."""

    state: str  # ok, stored (the dataset is not there), changed (since the run), gone (no picture)
    detail: str  # why, for people
    jpeg: bytes | None
    width: int | None = None
    height: int | None = None
    n_bytes: int | None = None
    grey: NDArray[np.uint8] | None = None  # (128, 128)

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return len(self.jpeg or b"") + 20_000


class Album:
    """Gives pictures by sample; asked from many threads."""

    def __init__(self, run: OpenedRun) -> None:
        self.run = run
        self.trouble = ""  # why pictures are stored thumbnails, for people
        self._config = _config(run)
        self._source: Source | None = None
        self._row_of_sample: NDArray[np.int64] | None = None
        self._opened = Event()
        self._shown: OrderedDict[tuple[int, str], Shown] = OrderedDict()
        self._lock = Lock()
        self._held = ExitStack()
        self._engines: dict[str, Queue[Engine]] = {}

        for size, n_workers in _WORKERS.items():
            self._engines[size] = Queue()
            for _ in range(n_workers):
                limits = self._config.engine
                engine = choose(1, Limits(limits.timeout or _SECONDS, limits.memory))
                self._held.enter_context(engine.kept())
                self._engines[size].put(engine)

        Thread(target=self._open, name="opens the dataset", daemon=True).start()

    def close(self) -> None:
        """End the processes that decode."""
        self._held.close()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the dataset is opened, or cannot be; whether it is known."""
        return self._opened.wait(seconds)

    def picture(self, sample: int, size: str) -> Shown:
        """A sample's picture, `THUMB` or `LARGE`."""
        key = (sample, size)
        with self._lock:
            if key in self._shown:
                self._shown.move_to_end(key)
                return self._shown[key]

        shown = self._made(sample, size)
        if shown.state != "stored" or self._opened.is_set():
            self._keep(key, shown)

        return shown

    def _made(self, sample: int, size: str) -> Shown:
        self._opened.wait(_PATIENCE)
        row = -1 if self._row_of_sample is None else int(self._row_of_sample[sample])
        if self._source is None or row < 0:
            return self._stored(sample, self.trouble or "The dataset is still being opened.")

        with self._lock:
            batches = list(self._source.payload_of([row]))

        shown = self._decoded(batches, size)
        if shown is None:
            return self._stored(sample, "The picture is not in the dataset any more.")

        if shown.state == "gone":
            stored = self._stored(sample, shown.detail)
            return stored if stored.jpeg else shown

        return shown if self._is_that_of_the_run(sample, batches, shown) else _changed(shown)

    def _decoded(self, batches: Sequence[pa.RecordBatch], size: str) -> Shown | None:
        side, quality = _SIDES[size]
        settings = self._config.hash
        setup = {
            "max_pixels": settings.max_pixels,
            "background": settings.background,
            "side": side,
            "quality": quality,
        }
        engine = self._engines[size].get()

        try:
            found = list(engine.run(WORK, setup, iter(batches)))
        finally:
            self._engines[size].put(engine)

        rows = [row for batch in found for row in batch.to_pylist()]
        if not rows:
            return None

        row = rows[0]
        if row["status"] != "ok":
            return Shown("gone", f"{row['status']}: {row['detail'] or 'no picture'}", None)

        grey = np.frombuffer(row["grey"], np.uint8).reshape(128, 128)
        digest = row["file_digest"].hex()
        sizes = row["width"], row["height"], row["n_bytes"]

        return Shown("ok", digest, row["jpeg"], *sizes, grey)

    def _is_that_of_the_run(
        self, sample: int, batches: Sequence[pa.RecordBatch], shown: Shown
    ) -> bool:
        """Whether the file is the one that was searched."""
        digest = self._digests()[sample].as_py()
        return digest is None or digest.hex() == shown.detail

    def _digests(self) -> pa.ChunkedArray:
        if not hasattr(self, "_file_digests"):
            self._file_digests = self.run.read("hashes", ["file_digest"])["file_digest"]
        return self._file_digests

    def _stored(self, sample: int, why: str) -> Shown:
        """The thumbnail of 32 × 32 that the run stored."""
        found = storage.values(self.run.folder, "hashes", "thumbnail", [sample])[0]
        if not found:
            return Shown("gone", why, None)

        grey = Image.frombytes("L", (tables.THUMBNAIL_SIDE,) * 2, found)
        enlarged = grey.resize((128, 128), Image.Resampling.BICUBIC)

        return Shown("stored", why, jpeg(enlarged, 128, 80), grey=np.asarray(enlarged))

    def _keep(self, key: tuple[int, str], shown: Shown) -> None:
        with self._lock:
            self._shown[key] = shown
            total = sum(one.size for one in self._shown.values()) if len(self._shown) % 64 else 0
            if len(self._shown) % 64 == 0:
                total = sum(one.size for one in self._shown.values())
            while total > _KEPT_BYTES and len(self._shown) > 1:
                _, oldest = self._shown.popitem(last=False)
                total -= oldest.size

    def _open(self) -> None:
        try:
            if self.run.info["source"]["in_memory"]:
                self.trouble = "This run was over a dataset in memory: stored thumbnails are shown."
                return
            source = open_source(self._config.dataset)
            listed, rows = read_manifest(source, self._config)
            self._row_of_sample = self._places(listed["id"], rows)
            self._source = source
        except (DedupError, OSError) as error:
            self.trouble = (
                f"The dataset is not where it was, so stored thumbnails are shown: {error}"
            )
        finally:
            self._opened.set()

    def _places(self, ids: pa.ChunkedArray, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where each sample of the run is in the dataset of today; -1 where it is not."""
        known = self.run.ids
        if len(ids) == len(known) and ids.combine_chunks().equals(known):
            return rows

        places = pc.index_in(known, ids.combine_chunks())
        found = pa.array(rows).take(places).fill_null(-1).to_numpy()
        n_gone = int((found < 0).sum())

        if n_gone:
            self.trouble = (
                f"{n_gone:,} of {len(known):,} samples are not in the dataset any more; their"
                " stored thumbnails are shown."
            )

        return np.asarray(found, np.int64)


def _changed(shown: Shown) -> Shown:
    return replace(shown, state="changed", detail="The file has changed since the run.")


def _config(run: OpenedRun) -> Config:
    settings = {key: dict(section) for key, section in run.info["config"].items()}
    return build(settings, where=str(run.folder / "run.json"))
