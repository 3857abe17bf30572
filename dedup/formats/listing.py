"""What lies below a folder: every file once, the images told from the rest by name or, without one,
by content.
"""

import errno
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from dedup.decoding.pictures import FILE_SUFFIXES
from dedup.errors import SourceError
from dedup.formats.account import EVERYTHING_READ, NOT_READ, in_a_line
from dedup.formats.first_bytes import head_of, image_suffix
from dedup.formats.source import printable
from dedup.formats.stems import stem_of

if TYPE_CHECKING:
    from dedup.formats.source import Source

Parts = tuple[str, ...]
"""A path below the root, as names."""

HIDDEN: Final = "hidden"
NOT_AN_IMAGE: Final = "not_an_image"
NOT_OF_THE_DATASET: Final = "not_of_the_dataset"
OUTSIDE_SPLITS: Final = "outside_splits"
TOO_LONG: Final = "path_too_long"
LINK_ABOVE: Final = "link_to_a_folder_above"

_TELLING: Final = frozenset({
    ".txt", ".text", ".caption", ".md", ".rst", ".log", ".json", ".jsonl", ".ndjson", ".geojson",
    ".xml", ".html", ".htm", ".csv", ".tsv", ".xls", ".xlsx", ".yaml", ".yml", ".toml", ".ini",
    ".cfg", ".conf", ".names", ".list", ".lst", ".idx", ".rec", ".tfrecord", ".tfrecords",
    ".npy", ".npz", ".mat", ".h5", ".hdf5", ".pkl", ".pt", ".pth", ".ckpt", ".safetensors", ".onnx",
    ".parquet", ".arrow", ".feather", ".db", ".sqlite", ".lmdb", ".mdb", ".tar", ".gz", ".tgz",
    ".bz2", ".xz", ".zst", ".zip", ".7z", ".rar", ".py", ".ipynb", ".sh", ".bat", ".m", ".r", ".c",
    ".cpp", ".h", ".js", ".css", ".pdf", ".doc", ".docx", ".ppt", ".pptx", ".tex", ".bib", ".svg",
    ".eps", ".ps", ".mp4", ".avi", ".mov", ".mkv", ".webm", ".wav", ".mp3", ".flac", ".nii", ".dcm",
    ".mhd", ".mha", ".nrrd", ".ply", ".pcd", ".obj", ".stl", ".exr", ".hdr", ".flo",
    ".part", ".partial", ".crdownload", ".lock", ".md5", ".sha256", ".cls", ".url",
    ".ds_store",
})  # fmt: skip
"""File names, in lower case, that say what a file is. All others are opened, as downloads and
caches have none.
"""


_WITH_FILES: Final = frozenset({"manifest", "coco", "yolo"})
"""Forms that write what lies beside an image and has its stem."""

_ARCHIVES: Final = (".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".7z", ".rar")


@dataclass(frozen=True, slots=True)
class Listing:
    """The files below a folder, each as its path in names. Links to folders are followed."""

    root: Path
    images: Sequence[Parts]  # sorted
    others: Sequence[Parts]  # sorted: neither images nor hidden
    # what was not entered or not opened, and why: hidden, a link that goes up
    passed: Sequence[tuple[Parts, str]]

    def of_suffix(self, *suffixes: str) -> list[Parts]:
        """Those of the other files that have one of the suffixes, in lower case."""
        return [parts for parts in self.others if parts[-1].lower().endswith(suffixes)]

    def path(self, parts: Parts) -> Path:
        """Where a file lies."""
        return self.root.joinpath(*parts)


def listed(root: Path) -> Listing:
    """Walk a folder. Raises `SourceError` for a folder that cannot be read."""
    images: list[Parts] = []
    others: list[Parts] = []
    passed: list[tuple[Parts, str]] = []
    # A stack and not a recursion: a thousand folders in one another are no reason to stop.
    waiting: list[tuple[str, Parts, frozenset[tuple[int, int]]]] = [(str(root), (), frozenset())]

    while waiting:
        folder, parts, above = waiting.pop()
        opened = _opened(folder)
        if opened is None:
            passed.append((parts, TOO_LONG))
            continue
        here, entries = opened
        if here in above:
            passed.append((parts, LINK_ABOVE))
            continue
        for entry in entries:
            inner = (*parts, entry.name)
            if entry.name.startswith("."):
                passed.append((inner, HIDDEN))
            elif _is_folder(entry):
                waiting.append((entry.path, inner, above | {here}))
            else:
                (images if _is_image(entry) else others).append(inner)

    return Listing(root, sorted(images), sorted(others), sorted(passed))


def not_read(listing: Listing, read: Collection[Parts], reasons: dict[Parts, str]) -> pa.Table:
    """NOT_READ: what lies below the root and is not in `read`, with a reason, one of `reasons` or
    the usual one.
    """
    rows = list(listing.passed)
    for files, usual in ((listing.images, NOT_OF_THE_DATASET), (listing.others, NOT_AN_IMAGE)):
        rows += [(parts, reasons.get(parts, usual)) for parts in files if parts not in read]

    told = sorted(("/".join(map(printable, parts)), reason) for parts, reason in rows)

    return pa.table([[path for path, _ in told], [reason for _, reason in told]], schema=NOT_READ)


def account_for(source: "Source", listing: Listing | None) -> None:
    """Note what lies in the folder of a dataset and is not part of it, unless its form has said so
    itself.
    """
    source.understood = source.understood or in_a_line(source.rows)
    if listing is None or source.not_read is not EVERYTHING_READ:
        return

    # which knows names of metadata, and these the listing
    from dedup.formats.companions import (
        beside,
    )

    own = {*names_of(source.own_files(), listing.root)}
    own |= beside(own & {*listing.images}, listing.others) if source.form in _WITH_FILES else set()
    source.not_read = not_read(listing, own, {})


def archives(table: pa.Table) -> str:
    """A remedy where archives are among what was not read: a sentence, or nothing."""
    found = [path for path in table["path"].to_pylist() if path.lower().endswith(_ARCHIVES)]
    if not found:
        return ""

    first = ", ".join(map(repr, found[:3])) + (", …" if len(found) > 3 else "")

    return (
        f" There are archives, which are not unpacked: {first}. Unpack them, and name the folder."
    )


def _opened(folder: str) -> tuple[tuple[int, int], list["os.DirEntry[str]"]] | None:
    """What tells the folder from all others, and its entries; None where its path is longer than
    systems allow.
    """
    try:
        status = os.stat(folder)  # ten times faster than Path over a million files
        with os.scandir(folder) as entries:
            return (status.st_dev, status.st_ino), list(entries)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return None
        message = f"{printable(folder)!r}: the folder cannot be read: {error.strerror}."
        raise SourceError(message) from error


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: whoever reads it is told that it is missing
        return False


def _is_image(entry: "os.DirEntry[str]") -> bool:
    suffix = entry.name[len(stem_of(entry.name)) :].lower()
    if suffix in FILE_SUFFIXES:
        return True
    return suffix not in _TELLING and image_suffix(head_of(entry.path)) is not None


def names_of(paths: Iterable[Path], root: Path) -> Iterator[Parts]:
    """Paths below the root as names; those that lie elsewhere are left out."""
    # not resolved
    before = (
        os.path.join(root, ""),
        os.path.join(os.path.abspath(root), ""),
    )
    for path in map(str, paths):
        start = next((start for start in before if path.startswith(start)), None)
        if start is not None:
            yield tuple(path[len(start) :].split(os.sep))  # a million of them
