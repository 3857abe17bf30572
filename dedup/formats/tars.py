"""Tar shards read in order without unpacking: where each sample's members lie, and nothing that
could harm.
"""

import logging
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from dedup.errors import SourceError
from dedup.formats.first_bytes import N_BYTES, image_suffix

logger = logging.getLogger(__name__)

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
"""What ends a tar file."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a sample."""

    field: str  # the name after the first dot, in lower case: `jpg`, `left.png`, `cls`
    offset: int  # of its content in the shard, bytes
    size: int  # bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """The members of one sample, which stand side by side."""

    key: str  # folders and the name before the first dot
    start: int  # of the first header, bytes
    stop: int  # after the last member's padding
    members: tuple[Member, ...]
    # its names lead out of the archive, or are links: it is neither read nor written
    is_refused: bool = False

    def member(self, field: str) -> Member | None:
        """The member with that field, or None."""
        return next((member for member in self.members if member.field == field), None)


def entries(path: Path, passed: list[str] | None = None) -> Iterator[Entry]:
    """The samples of a shard, in order. Names of members that are of no sample are added to
    `passed`.

    A member without a suffix is an image if its first bytes are those of one. A sample whose name
    is absolute, has `..` in it, or is a link is there and refused. Raises `SourceError` for a file
    that is not a plain tar, is cut short, or has another member that no dataset has: a device, such
    a name that is not of a sample.
    """
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            yield from _entries(path, file, tar, [] if passed is None else passed)
    except (
        tarfile.TarError,
        OSError,
        ValueError,
        OverflowError,
        MemoryError,
    ) as error:  # of headers with absurd sizes
        message = (
            f"{path}: cannot be read as a tar file: {str(error) or 'its headers are absurd'}."
            f" {_remedy(path)}"
        )
        raise SourceError(message) from error


def _entries(
    path: Path, file: BinaryIO, tar: tarfile.TarFile, passed: list[str]
) -> Iterator[Entry]:
    key, start, stop, is_refused = "", 0, 0, False
    members: list[Member] = []
    while (info := tar.next()) is not None:
        tar.members.clear()  # type: ignore[attr-defined]  # it would keep every header it has read
        # A name of Windows that leads out is a sample's, which is refused by itself.
        named = info.name if _leads_out(info) is None else info.name.replace("\\", "/")
        folder, _, name = named.rpartition("/")
        stem, _, field = name.partition(".")
        field = field or _suffix_of(file, info)
        # so does the webdataset library: such names make no sample
        is_none = info.isdir() or not field or not stem
        leads_out = _leads_out(info)
        _refuse(path, info, leads_out if is_none else None)
        if is_none:
            passed += [] if info.isdir() else [info.name]
            continue
        of = f"{folder}/{stem}" if folder else stem
        if members and of != key:
            yield Entry(key, start, info.offset, tuple(members), is_refused)
            members, is_refused = [], False
        is_refused = is_refused or leads_out is not None
        if not members:
            key, start = of, info.offset
        elif any(member.field == field.lower() for member in members):
            message = (
                f"{path}: the sample {key!r} has two members {field!r}. Give every sample its own"
                " key."
            )
            raise SourceError(message)
        size = 0 if info.issym() or info.islnk() else info.size
        members.append(Member(field.lower(), info.offset_data, size))
        stop = info.offset_data + -(-size // BLOCK) * BLOCK
        if stop > os.fstat(file.fileno()).st_size:
            message = f"{path}: the file ends inside the member {info.name!r}. {_remedy(path)}"
            raise SourceError(message)

    _refuse_broken_end(path, file, tar)
    if members:
        yield Entry(key, start, stop, tuple(members), is_refused)


def _suffix_of(file: BinaryIO, info: tarfile.TarInfo) -> str:
    """The suffix, without its dot, that fits a member whose content is that of an image."""
    if not info.isreg() or info.size < N_BYTES:
        return ""

    return head_suffix(file, info.offset_data) or ""


def head_suffix(file: BinaryIO, offset: int) -> str | None:
    """The suffix, without its dot, that fits the first bytes of a member, if it is an image."""
    file.seek(offset)
    suffix = image_suffix(file.read(N_BYTES))

    return suffix.removeprefix(".") if suffix else None


def _leads_out(info: tarfile.TarInfo) -> str | None:
    """What leads out of the archive in a member, if anything does."""
    if info.name.startswith(("/", "\\")) or (len(info.name) > 1 and info.name[1] == ":"):
        return "has an absolute path"
    if ".." in info.name.replace("\\", "/").split("/"):
        return "leads out of the archive with '..'"
    return f"is a link, to {info.linkname!r}" if info.issym() or info.islnk() else None


def _refuse(path: Path, info: tarfile.TarInfo, leads_out: str | None) -> None:
    wrong = leads_out
    if wrong is None and info.size < 0:  # `tarfile` would go back, and perhaps for ever
        wrong = f"has a size of {info.size} bytes"
    elif wrong is None and (
        info.issparse() or not (info.isdir() or info.isreg() or info.issym() or info.islnk())
    ):
        wrong = "is not a regular file"

    if wrong:
        message = (
            f"{path}: the member {info.name!r} {wrong}. Shards of images have plain files only; do"
            " not trust this one."
        )
        raise SourceError(message)


def _refuse_broken_end(path: Path, file: BinaryIO, tar: tarfile.TarFile) -> None:
    """`tarfile` takes a damaged header for the end: what follows must be zeros, or nothing."""
    file.seek(tar.offset)
    rest = file.read(BLOCK)
    if not rest:
        logger.warning(
            "%s: the tar file has no end mark. If a download was cut short, get it again.", path
        )
    elif rest.strip(b"\0") or len(rest) < BLOCK:
        message = (
            f"{path}: the header at byte {tar.offset:,} is damaged or cut short. {_remedy(path)}"
        )
        raise SourceError(message)


def _remedy(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(4)

    if (
        head[:2] == b"\x1f\x8b"
        or head == b"\x28\xb5\x2f\xfd"
        or head[:3] == b"BZh"
        or head == b"\xfd7zX"
    ):
        return "It is compressed; images gain nothing from that: uncompress it first."

    return "Get or make the file again."
