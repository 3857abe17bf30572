"""The picture that is asked: what was measured on it, or why there is nothing.

Measured here, in a worker of the service, or by a client who keeps the pixels to himself.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from dedup import limited
from dedup.decoding.contents import read_bytes
from dedup.decoding.pictures import Unreadable, normalise, pixel_digest
from dedup.errors import ConfigError, because
from dedup.hashers import thumbnail as thumbnails
from dedup.hashers.drift import setup_of
from dedup.hashers.families import picture_codes
from dedup.tables import MIN_INFORMATION, STATUSES, THUMBNAIL_SIDE
from dedup.tables.entries import SIGNS_BYTES, SMALL_SIDE, BankSpec
from dedup.verify.signs import signs_of
from dedup.verify.views import within_frames

Data = str | Path | bytes | Image.Image
"""A path, the bytes of a file, or a decoded picture."""

_BINARY: Final = ("file_digest", "pixel_digest", "signs", "thumbnail")
_DIGESTS: Final = 32  # bytes
_MAX_LEVELS: Final = THUMBNAIL_SIDE * THUMBNAIL_SIDE
_MAX_TEXT: Final = 1_000  # characters of a format's name or a detail that a client sends
_MAX_PIXELS_OF_A_SIDE: Final = 2**31 - 1
_GREY_LEVELS: Final = 255.0


@dataclass(frozen=True, slots=True)
class Inside:
    """What is within the frame of a picture that has one."""

    codes: Mapping[str, bytes]
    signs: bytes
    thumbnail: bytes | None = None


@dataclass(frozen=True, slots=True)
class MeasuredPicture:
    """All that a bank needs of a picture. Without a picture `status` says why, and the rest is
    empty.
    """

    status: str  # "ok", or another of `tables.STATUSES`
    detail: str | None = None
    width: int | None = None  # pixels
    height: int | None = None
    format: str | None = None
    # BLAKE3, 32 bytes; None where a client keeps it, or there is no file
    file_digest: bytes | None = None
    pixel_digest: bytes | None = None
    information: float = 0.0  # grey levels; below `tables.MIN_INFORMATION` only equal pixels match
    codes: Mapping[str, bytes] = field(default_factory=dict)  # by algorithm
    signs: bytes = b""
    thumbnail: bytes | None = None  # 32 × 32 grey levels; None where a client keeps it
    inside: Inside | None = None

    @property
    def is_readable(self) -> bool:
        """Whether there is a picture."""
        return self.status == "ok"

    @property
    def is_searched(self) -> bool:
        """Whether its codes say anything: those of blank pictures are decided by noise."""
        return self.is_readable and self.information >= MIN_INFORMATION

    @property
    def is_small(self) -> bool:
        """Whether its entry keeps a thumbnail."""
        return min(self.width or 0, self.height or 0) < SMALL_SIDE

    def to_json(self, *, thumbnail: bool = True) -> str:
        """As text, bytes in base 64. Without its thumbnail the picture cannot be seen from it."""
        values: dict[str, Any] = {
            "status": self.status,
            "detail": self.detail,
            "width": self.width,
            "height": self.height,
            "format": self.format,
            "information": self.information,
            **{name: _text(getattr(self, name)) for name in _BINARY},
            "codes": {name: _text(code) for name, code in self.codes.items()},
            "inside": None,
        }
        if self.inside is not None:
            values["inside"] = {
                "codes": {name: _text(code) for name, code in self.inside.codes.items()},
                "signs": _text(self.inside.signs),
                "thumbnail": _text(self.inside.thumbnail) if thumbnail else None,
            }

        if not thumbnail:
            values["thumbnail"] = None

        return json.dumps(values)

    @classmethod
    def from_json(cls, text: str, spec: BankSpec) -> Self:
        """The inverse of `to_json`, also of what a stranger sends.

        Raises `ConfigError` for anything that is not the measures of a picture under `spec`.
        """
        try:
            values = json.loads(text)
            inside = values.get("inside")
            made = cls(
                status=_status(values["status"]),
                detail=_some_text(values.get("detail")),
                width=_pixels(values.get("width")),
                height=_pixels(values.get("height")),
                format=_some_text(values.get("format")),
                file_digest=_bytes(values.get("file_digest"), _DIGESTS),
                pixel_digest=_bytes(values.get("pixel_digest"), _DIGESTS),
                information=_grey_levels(values.get("information") or 0.0),
                codes=_codes(values.get("codes") or {}, spec),
                signs=_bytes(values.get("signs") or None, SIGNS_BYTES) or b"",
                thumbnail=_bytes(values.get("thumbnail"), _MAX_LEVELS),
                inside=(
                    None
                    if inside is None
                    else Inside(
                        _codes(inside["codes"], spec),
                        _bytes(inside["signs"], SIGNS_BYTES) or b"",
                        _bytes(inside.get("thumbnail"), _MAX_LEVELS),
                    )
                ),
            )
        except (
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            RecursionError,
            OverflowError,
        ) as error:
            message = (
                f"These are not the measures of a picture: {because(error)}. Those that"
                " `MeasuredPicture.to_json` makes are."
            )
            raise ConfigError(message) from error

        parts: list[MeasuredPicture | Inside] = [made]
        parts += [] if made.inside is None else [made.inside]
        whole = all(
            set(part.codes) == set(spec.algorithms) and len(part.signs) == SIGNS_BYTES
            for part in parts
        )

        if made.is_readable and not whole:
            message = (
                f"The measures of a picture need codes of {', '.join(spec.algorithms)}, {spec.bits}"
                f" bits each, and {SIGNS_BYTES} bytes of signs."
            )
            raise ConfigError(message)

        return made


def measured(items: Sequence[Data], spec: BankSpec) -> list[MeasuredPicture]:
    """Measure pictures: files whose headers show little work in this process, others in workers
    with limits. Files that cannot be read get a status.
    """
    decoded = [item if isinstance(item, Image.Image) else None for item in items]
    stored = [_content(item) for item in items if not isinstance(item, Image.Image)]
    table = limited.measured(stored, setup_of(spec))
    of_stored = iter(of_table(table, spec))

    return [next(of_stored) if image is None else _of_image(image, spec) for image in decoded]


def of_table(hashes: pa.Table, spec: BankSpec) -> list[MeasuredPicture]:
    """The rows of a table `hashes`: of a worker, or of a finished run."""
    rows = hashes.to_pylist()
    readable = [k for k, row in enumerate(rows) if row["status"] == "ok"]
    small = np.frombuffer(b"".join(rows[k]["thumbnail"] for k in readable), np.uint8)
    small = small.reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    signs, inside = signs_of(small), _insides(small, spec)
    place = {k: at for at, k in enumerate(readable)}

    return [
        (
            _of_row(row, spec, signs[place[k]].tobytes(), inside.get(place[k]))
            if k in place
            else _unreadable(row)
        )
        for k, row in enumerate(rows)
    ]


def _of_row(
    row: Mapping[str, Any], spec: BankSpec, signs: bytes, inside: Inside | None
) -> MeasuredPicture:
    return MeasuredPicture(
        status="ok",
        detail=row["detail"],
        width=row["width"],
        height=row["height"],
        format=row["format"],
        file_digest=row["file_digest"],
        pixel_digest=row["pixel_digest"],
        information=float(row["information"]),
        codes={name: row[name] for name in spec.algorithms},
        signs=signs,
        thumbnail=row["thumbnail"],
        inside=inside,
    )


def _unreadable(row: Mapping[str, Any]) -> MeasuredPicture:
    return MeasuredPicture(
        status=row["status"],
        detail=row["detail"],
        width=row["width"],
        height=row["height"],
        format=row["format"],
        file_digest=row["file_digest"],
    )


def _insides(small: NDArray[np.uint8], spec: BankSpec) -> dict[int, Inside]:
    """What is within the frames, by place among the pictures."""
    views = within_frames(small, np.arange(len(small)), spec.algorithms, spec.bits, ("identity",))
    if len(views.of) == 0:
        return {}

    signs = signs_of(views.thumbnails)

    return {
        at: Inside(
            {name: views.codes[name][k].tobytes() for name in spec.algorithms},
            signs[k].tobytes(),
            views.thumbnails[k].tobytes(),
        )
        for k, at in enumerate(views.of.tolist())
    }


def _of_image(image: Image.Image, spec: BankSpec) -> MeasuredPicture:
    """A decoded picture: there is no file, so there is no digest of one."""
    picture = normalise(image, spec.background)
    small = thumbnails.thumbnail(picture)
    codes = {
        name: picture_codes([picture], name, spec.bits, spec.mode)[0].tobytes()
        for name in spec.algorithms
    }

    return MeasuredPicture(
        status="ok",
        width=picture.width,
        height=picture.height,
        pixel_digest=pixel_digest(_levels(picture)),
        information=float(thumbnails.information(small)),
        codes=codes,
        signs=signs_of(small[None])[0].tobytes(),
        thumbnail=small.tobytes(),
        inside=_insides(small[None], spec).get(0),
    )


def _levels(picture: Image.Image) -> NDArray[np.uint8]:
    """The pixels as a digest takes them: grey stored as colour is the same picture."""
    pixels = np.asarray(picture)
    grey = pixels.ndim == 3 and bool((pixels[..., :1] == pixels[..., 1:]).all())
    return pixels[..., 0] if grey else pixels


def _content(item: Any) -> bytes | Unreadable:
    if isinstance(item, bytes | bytearray | memoryview):
        return bytes(item)
    if isinstance(item, str | Path):
        return read_bytes(bytes(Path(item)), None)

    message = (
        f"A picture is given as a path, as bytes or as a PIL image, not as {type(item).__name__}."
    )
    raise ConfigError(message)


def _text(value: bytes | None) -> str | None:
    return None if value is None else b64encode(value).decode()


def _bytes(text: Any, length: int) -> bytes | None:
    if text is None:
        return None

    value = b64decode(_one_of(text, str), validate=True)
    if len(value) != length:
        message = f"{len(value)} bytes where {length} are needed"
        raise ValueError(message)

    return value


def _codes(values: Mapping[str, Any], spec: BankSpec) -> dict[str, bytes]:
    return {
        name: _bytes(values[name], spec.bits // 8) or b""
        for name in spec.algorithms
        if name in values
    }


def _status(value: Any) -> str:
    if value in STATUSES:
        return str(value)
    message = f"the status {value!r} is not one of {', '.join(STATUSES)}"
    raise ValueError(message)


def _some_text(value: Any) -> str | None:
    """A short text that a database can keep, or None."""
    text = None if value is None else str(_one_of(value, str))
    if text is not None:
        text.encode()  # a lone half of a surrogate pair raises `ValueError`
        if len(text) > _MAX_TEXT:
            message = f"a text of {len(text):,} characters; at most {_MAX_TEXT}"
            raise ValueError(message)

    return text


def _pixels(value: Any) -> int | None:
    if value is not None and not 0 < _one_of(value, int) <= _MAX_PIXELS_OF_A_SIDE:
        message = f"a side of {value!r} pixels"
        raise ValueError(message)
    return None if value is None else int(value)


def _grey_levels(value: Any) -> float:
    levels = float(_one_of(value, int | float))
    if not 0.0 <= levels <= _GREY_LEVELS:
        message = f"an information of {value!r}, which is 0 to {_GREY_LEVELS}"
        raise ValueError(message)

    return levels


def _one_of(value: Any, kind: type | UnionType, *others: Any) -> Any:
    if (isinstance(value, kind) and not isinstance(value, bool)) or value in others:
        return value
    message = f"{value!r} is not a {getattr(kind, '__name__', kind)}"
    raise TypeError(message)
