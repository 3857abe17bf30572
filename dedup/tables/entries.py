"""The entries of a bank: what makes two banks comparable, their columns, and how they are read.

A bank of one's own is a folder with a database; a portable one is a Parquet file without pictures.
Both are read here as one Arrow table, so that a bank can be a reference of a run.
"""

import json
import sqlite3
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from dedup.errors import BankError, because
from dedup.tables.schemas import DIGEST_BYTES, THUMBNAIL_SIDE
from dedup.tables.thumbnails import unpacked

DATABASE: Final = "bank.sqlite"
"""The file in a bank's folder that holds the truth; everything else there can be made again."""

PORTABLE: Final = ".bank.parquet"
SUFFIX: Final = ".bank"

FORMAT_VERSION: Final = 1
"""Of the database and of the portable file. A newer one is refused."""

SIGNS_VERSION: Final = 1
SIGNS_BYTES: Final = 68  # 544 signs of gradients

SMALL_SIDE: Final = 64
"""Pixels: entries with a shorter side keep a thumbnail, because signs alone tell small pictures
apart less well.
"""

METADATA: Final = b"dedup.bank"


@dataclass(frozen=True, slots=True)
class BankSpec:
    """What decides the codes of a bank. Two banks compare where all of it is equal."""

    algorithms: tuple[str, ...] = ("dhash", "phash")
    bits: int = 64  # of each code
    mode: str = "fast"
    background: str = "#ffffff"
    max_pixels: int = 100_000_000  # width × height of the largest picture that is decoded
    signs: int = SIGNS_VERSION

    @property
    def code_bytes(self) -> int:
        """Bytes of the codes of one picture, all algorithms one after the other."""
        return len(self.algorithms) * self.bits // 8

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "algorithms": list(self.algorithms)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(**{**values, "algorithms": tuple(values["algorithms"])})

    def differences(self, other: "BankSpec") -> list[str]:
        """What keeps the codes of the two from being compared, for people; `max_pixels` does
        not.
        """
        mine, theirs = self.to_dict(), other.to_dict()
        names = ("algorithms", "bits", "mode", "background", "signs")

        return [
            f"{name} {mine[name]!r}, not {theirs[name]!r}"
            for name in names
            if mine[name] != theirs[name]
        ]


def default_distance(spec: BankSpec) -> int:
    """Bits, inclusive, within which a check searches: the largest radius of `search.max_distance:
    auto`.
    """
    return 16 * spec.bits // 64


@dataclass(frozen=True, slots=True)
class BankInfo:
    """What a bank says of itself."""

    spec: BankSpec
    canary: str  # digest of all that is measured on the canary pictures
    canary_codes: Mapping[str, Sequence[bytes]]  # by algorithm: the codes of these pictures
    versions: Mapping[str, str] = field(default_factory=dict)  # of the libraries, for people
    source: str | None = None  # where the pictures come from, for people
    licence: str | None = None  # what the owner says about them
    format: int = FORMAT_VERSION

    def to_json(self) -> str:
        """As text, with codes in base 64."""
        codes = {
            name: [b64encode(code).decode() for code in of]
            for name, of in self.canary_codes.items()
        }
        return json.dumps(
            {
                "format": self.format,
                "spec": self.spec.to_dict(),
                "canary": self.canary,
                "canary_codes": codes,
                "versions": dict(self.versions),
                "source": self.source,
                "licence": self.licence,
            }
        )

    @classmethod
    def from_json(cls, text: str, where: str) -> Self:
        """The inverse of `to_json`. Raises `BankError` for a newer format; `where` is for that
        message.
        """
        values = json.loads(text)
        if values["format"] > FORMAT_VERSION:
            message = (
                f"{where} has format {values['format']} of banks; this version of dedup knows"
                f" formats up to {FORMAT_VERSION}. Update dedup, or make the bank again with this"
                " version."
            )
            raise BankError(message)

        codes = {
            name: [b64decode(code) for code in of] for name, of in values["canary_codes"].items()
        }

        return cls(
            spec=BankSpec.from_dict(values["spec"]),
            canary=values["canary"],
            canary_codes=codes,
            versions=values["versions"],
            source=values["source"],
            licence=values["licence"],
            format=values["format"],
        )


def read_database(folder: Path) -> tuple[BankInfo, pa.Table]:
    """The entries of a bank of one's own, sorted by id: the columns of a portable one, label, uri
    and thumbnail.

    A small entry's thumbnail is unpacked to 32 × 32 grey levels. Raises `BankError`.
    """
    path = folder / DATABASE
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        ) as connection:
            connection.execute("BEGIN")
            (text,) = connection.execute("SELECT value FROM meta WHERE key = 'info'").fetchone()
            info = BankInfo.from_json(text, repr(str(folder)))
            rows = connection.execute(_ENTRIES).fetchall()
    except (sqlite3.Error, TypeError, ValueError, KeyError) as error:
        message = (
            f"{path}: cannot be read as a bank: {because(error)}. 'dedup bank verify {folder}' says"
            " what is left."
        )
        raise BankError(message) from error

    width = info.spec.bits // 8
    columns = dict(zip(_READ, zip(*rows, strict=True) if rows else [()] * len(_READ), strict=True))
    codes = columns.pop("codes")
    arrays: dict[str, pa.Array] = {
        name: pa.array(columns[name], kind) for name, kind in _READ.items() if name != "codes"
    }

    for k, name in enumerate(info.spec.algorithms):
        arrays[name] = pa.array(
            [code[k * width : (k + 1) * width] for code in codes], pa.binary(width)
        )

    small = [None if kept is None else unpacked(kept).tobytes() for kept in columns["thumbnail"]]
    arrays["thumbnail"] = pa.array(small, pa.binary(THUMBNAIL_SIDE * THUMBNAIL_SIDE))

    return info, pa.table(arrays)


_READ: Final = {
    "id": pa.string(),
    "label": pa.string(),
    "uri": pa.string(),
    "width": pa.int32(),
    "height": pa.int32(),
    "format": pa.string(),
    "file_digest": pa.binary(DIGEST_BYTES),
    "pixel_digest": pa.binary(DIGEST_BYTES),
    "information": pa.float32(),
    "signs": pa.binary(SIGNS_BYTES),
    "thumbnail": pa.binary(),
    "codes": pa.binary(),
}
_ENTRIES: Final = f"SELECT {', '.join(_READ)} FROM entry ORDER BY id"  # names of our own


def portable_schema(spec: BankSpec, *, digests: bool) -> pa.Schema:
    """Columns of a portable bank; `inside_…` are of what is within the frame of a picture that has
    one.
    """
    code = pa.binary(spec.bits // 8)
    digest = pa.binary(DIGEST_BYTES)

    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("width", pa.int32()),
            pa.field("height", pa.int32()),
            pa.field("information", pa.float32()),
            *(
                [pa.field("file_digest", digest), pa.field("pixel_digest", digest)]
                if digests
                else []
            ),
            *(pa.field(name, code, nullable=False) for name in spec.algorithms),
            pa.field("signs", pa.binary(SIGNS_BYTES), nullable=False),
            *(pa.field(f"inside_{name}", code) for name in spec.algorithms),
            pa.field("inside_signs", pa.binary(SIGNS_BYTES)),
        ]
    )


def read_portable(path: Path) -> tuple[BankInfo, pa.Table]:
    """A portable bank. Raises `BankError` for a file that is not one, is damaged, or is newer."""
    try:
        schema = pq.read_schema(path)
        text = (schema.metadata or {}).get(METADATA)
        if text is None:
            message = (
                f"{path} is not a portable bank: nothing in it says so. 'dedup bank export' makes"
                " one."
            )
            raise BankError(message)
        info = BankInfo.from_json(text.decode(), str(path))
        names = [
            field.name
            for field in portable_schema(info.spec, digests="file_digest" in schema.names)
        ]
        table = pq.read_table(path, columns=names)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        message = (
            f"{path}: cannot be read as a portable bank: {because(error)}. Get the file again."
        )
        raise BankError(message) from error
    return info, table
