"""The pictures of the report's page: small JPEGs, each once, as many as the page may hold."""

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import pyarrow as pa
from PIL import Image

from dedup import tables
from dedup.config import HashConfig
from dedup.engines import Engine
from dedup.reporting.listing import Listing
from dedup.reporting.pictures import WORK, jpeg

ReadSamples = Callable[[Sequence[int]], Iterator[pa.RecordBatch]]
"""PAYLOAD batches of the named samples, in the order given; none where the dataset is gone."""
MAX_PICTURE_BYTES: Final = 9_000_000  # 12 MB as base64: the page stays below 20 MB
MAX_SMALL: Final = 4_000  # thumbnails of the list of pairs, of a kilobyte each in base64
_SMALL_QUALITY: Final = 60
_READ_AT_ONCE: Final = 32


def thumbnails_of(hashes: pa.Table) -> Callable[[Sequence[int]], Sequence[bytes | None]]:
    """What gives the stored thumbnails of samples."""
    return lambda samples: list(hashes["thumbnail"].take(pa.array(samples, pa.int64())).to_pylist())


def small_pictures(
    samples: Sequence[int],
    read: ReadSamples,
    thumbnails: Callable[[Sequence[int]], Sequence[bytes | None]],
    settings: HashConfig,
    engine: Engine,
) -> dict[int, bytes]:
    """A small JPEG of each sample, from the dataset or, where it cannot be had there, from the
    thumbnail.
    """
    batches = (
        batch
        for start in range(0, len(samples), _READ_AT_ONCE)
        for batch in read(samples[start : start + _READ_AT_ONCE])
    )
    setup = {"max_pixels": settings.max_pixels, "background": settings.background}
    shown = (data for part in engine.run(WORK, setup, batches) for data in part["jpeg"].to_pylist())
    # There are none if the dataset is gone.
    found = {sample: data for sample, data in zip(samples, shown, strict=False) if data is not None}

    others = [sample for sample in samples if sample not in found]
    if others:  # picking some reads the whole column
        for sample, stored in zip(others, thumbnails(others), strict=True):
            if stored:
                found[sample] = jpeg(Image.frombytes("L", (tables.THUMBNAIL_SIDE,) * 2, stored))

    return found


def as_album(wanted: Sequence[int], pictures: Mapping[int, bytes]) -> dict[int, str]:
    """The pictures in base64, each once, as many as the page may hold."""
    album: dict[int, str] = {}
    budget = MAX_PICTURE_BYTES
    for sample in wanted:
        cost = len(pictures.get(sample, b""))
        if 0 < cost <= budget:
            budget -= cost
            album[sample] = base64.b64encode(pictures[sample]).decode()

    return album


def rules_of_album(album: Mapping[int, str]) -> dict[str, str]:
    """Of each picture the CSS classes of the samples that show it: copies often are one picture."""
    rules: dict[str, list[str]] = {}
    for sample, data in album.items():
        rules.setdefault(data, []).append(f".p{sample}")
    return {data: ",".join(names) for data, names in rules.items()}


def small_thumbnails(
    listing: Listing,
    album: Mapping[int, str],
    thumbnails: Callable[[Sequence[int]], Sequence[bytes | None]],
) -> dict[int, str]:
    """Stored thumbnails in base64 for the listed pairs that are in no gallery, as many as there is
    room for.
    """
    listed = dict.fromkeys(sample for pair in listing.samples for sample in pair)
    others = [sample for sample in listed if sample not in album][:MAX_SMALL]
    if not others:
        return {}

    stored = zip(others, thumbnails(others), strict=True)
    side = (tables.THUMBNAIL_SIDE,) * 2

    return {
        sample: base64.b64encode(jpeg(Image.frombytes("L", side, grey), _SMALL_QUALITY)).decode()
        for sample, grey in stored
        if grey
    }
