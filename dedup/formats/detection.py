"""Which form a folder has: what each form explains of it is counted, and the form that explains the
images wins.
"""

import os
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from dedup.decoding.pictures import FILE_SUFFIXES
from dedup.errors import ConfigError
from dedup.formats.listing import Listing, Parts

SMALL: Final = 0.1
"""Share of the images in the winning form up to which those in another form are by-products, such
as previews.
"""

ENOUGH: Final = 0.5
"""Share of the images in files that annotations must list to explain the folder."""

_MEMBERS: Final = 2_000
"""Members of a tar file that are counted; from there on its size tells how many more there are."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for a form."""

    n_images: int  # that it explains
    what: str  # for people: "1,200 images in 3 tar files"
    names: frozenset[str] = frozenset()  # of some of the images, without folders
    is_sure: bool = False  # a marker says it, whatever else is there


def chosen(listing: Listing, found: Mapping[str, Evidence]) -> str:
    """The form that explains the images; raises `ConfigError` where two compete.

    `found` has the evidence by form. Annotations explain images in files that they list, so they
    are no rivals of the image folder but for images that they do not list.
    """
    if sure := [form for form, evidence in found.items() if evidence.is_sure]:
        return sure[0]

    in_files = found.get("imagefolder", Evidence(0, ""))
    annotated = {form: found[form] for form in ("yolo", "coco", "voc") if form in found}
    rows = {form: found[form] for form in ("huggingface", "webdataset") if form in found}

    rivals: dict[str, Evidence] = {}
    for form, evidence in annotated.items():
        if evidence.n_images >= ENOUGH * in_files.n_images:
            rivals[form] = evidence
        elif evidence.n_images > SMALL * in_files.n_images:
            rivals |= {form: evidence, "imagefolder": in_files}

    if not rivals and in_files.n_images:
        rivals["imagefolder"] = in_files

    rivals |= {
        form: evidence for form, evidence in rows.items() if not _is_unpacked(evidence, listing)
    }

    most = max((evidence.n_images for evidence in rivals.values()), default=0)
    left = {form: evidence for form, evidence in rivals.items() if evidence.n_images > SMALL * most}
    if len(left) > 1:
        raise ConfigError(_competing(listing.root, left))

    return next(iter(left), "imagefolder")


def _is_unpacked(evidence: Evidence, listing: Listing) -> bool:
    """Whether the images of archives lie in files beside them, too."""
    if not evidence.names or not listing.images:
        return False
    there = {parts[-1].lower() for parts in listing.images}
    return len(evidence.names & there) >= ENOUGH * len(evidence.names)


def _competing(root: Path, found: Mapping[str, Evidence]) -> str:
    told = " and ".join(f"{evidence.what} ({form})" for form, evidence in sorted(found.items()))
    ways = " or ".join(f"dataset.source: {form}" for form in sorted(found))

    return (
        f"dataset.path: {str(root)!r} holds {told}, and nothing says which of them is the dataset. "
        f"Set {ways}, or move the others elsewhere."
    )


def of_files(listing: Listing) -> Evidence | None:
    """Images in files."""
    n = len(listing.images)
    return Evidence(n, f"{n:,} images in files") if n else None


def of_tars(listing: Listing) -> Evidence | None:
    """Images in tar files. They are counted only where something else is there to compare with."""
    tars = listing.of_suffix(".tar")
    if not tars:
        return None
    if not listing.images and not listing.of_suffix(".parquet", ".arrow"):
        return Evidence(1, f"{len(tars):,} tar files")

    n, names = 0, set()
    for parts in tars:
        seen, share = _members(listing.path(parts))
        names |= seen
        n += round(len(seen) / share)

    what = f"about {n:,} images in {len(tars):,} tar file{'s' if len(tars) > 1 else ''}"

    return Evidence(n, what, frozenset(names)) if n else None


def _members(path: Path) -> tuple[set[str], float]:
    """Names of the first images of a tar file, and which share of the file was read for them."""
    names: set[str] = set()
    try:
        with tarfile.open(path, "r:") as tar:
            for _ in range(_MEMBERS):
                info = tar.next()
                if info is None:
                    return names, 1.0
                tar.members.clear()  # type: ignore[attr-defined]  # it would keep every header
                name = info.name.rpartition("/")[2].lower()
                if info.isreg() and Path(name).suffix in FILE_SUFFIXES:
                    names.add(name)
            return names, max(tar.offset / max(1, path.stat().st_size), 1e-6)
    except (
        tarfile.TarError,
        OSError,
        ValueError,
        OverflowError,
        MemoryError,
    ):  # its form says what is wrong with it
        return names, 1.0


def of_rows(listing: Listing) -> Evidence | None:
    """Rows of Parquet and Arrow files that have a column of images, or what `save_to_disk`
    wrote.
    """
    if {("dataset_dict.json",), ("state.json",)} & {*listing.others}:
        return Evidence(1, "what save_to_disk wrote", is_sure=True)

    files = [
        parts
        for parts in listing.of_suffix(".parquet", ".arrow")
        if not parts[-1].lower().startswith("metadata.")
    ]
    if not files:
        return None
    if not listing.images and not listing.of_suffix(".tar"):
        return Evidence(1, f"{len(files):,} Parquet or Arrow files")

    counts = [_n_rows(listing.path(parts)) for parts in files]
    n = sum(filter(None, counts))
    if n or not listing.images:  # a broken file beside images alone may hold anything
        n += counts.count(None)

    return (
        Evidence(n, f"{n:,} rows with images in {len(files):,} Parquet or Arrow files")
        if n
        else None
    )


def _n_rows(path: Path) -> int | None:
    """Rows of a file that has a column of images; 0 where it has none, None where it is broken."""
    try:
        if path.suffix.lower() == ".arrow":
            source = pa.memory_map(str(path))
            try:
                table = pa.ipc.open_stream(source).read_all()
            except pa.ArrowInvalid:
                source.seek(0)
                table = pa.ipc.open_file(source).read_all()
            return len(table) if has_images(table.schema) else 0
        with pq.ParquetFile(path) as file:
            return file.metadata.num_rows if has_images(file.schema_arrow) else 0
    except (pa.ArrowException, OSError, ValueError):
        return None


def has_images(schema: pa.Schema) -> bool:
    """Whether a column is an image struct, or one of bytes with the name of one."""
    return any(holds_images(field.type) or holds_encoded_images(field) for field in schema)


def holds_images(kind: pa.DataType) -> bool:
    """Whether a column's type is that of images, or has some in lists and structs."""
    if is_image_struct(kind):
        return True

    inner = [kind.field(k).type for k in range(kind.num_fields)]

    return any(map(holds_images, inner))


def is_image_struct(kind: pa.DataType) -> bool:
    """Whether a column's type is the struct in which Hugging Face datasets keep images."""
    return bool(pa.types.is_struct(kind)) and {field.name for field in kind} == {"bytes", "path"}


def holds_encoded_images(field: pa.Field) -> bool:
    """Whether a column of bytes has a name that says what the bytes are: img2dataset calls its own
    `jpg`.
    """
    binary = pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type)
    name = field.name.lower()

    return binary and (
        "." + name in FILE_SUFFIXES
        or re.fullmatch(r"(image|img)(_?(bytes|data))?", name) is not None
    )


def documents(listing: Listing, *suffixes: str) -> Iterator[Parts]:
    """Files with one of the suffixes that are not of single images: no image has their name."""
    found = list(listing.of_suffix(*suffixes))
    if not found:
        return

    stems = {(*parts[:-1], os.path.splitext(parts[-1])[0]) for parts in listing.images}
    names = {stem for *_, stem in stems}
    for parts in found:
        stem = os.path.splitext(parts[-1])[0]
        if (*parts[:-1], stem) not in stems and (stem not in names or len(parts) == 1):
            yield parts


def below(listing: Listing, folders: Sequence[Parts]) -> int:
    """The number of images below any of the folders."""
    wanted = {*folders}
    return sum(
        any(parts[:depth] in wanted for depth in range(len(parts))) for parts in listing.images
    )
