"""What decides the table of hashes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from dedup import tables

if TYPE_CHECKING:
    from dedup.config import Config  # a worker needs none, and it takes a tenth of a second


DECODING: Final = 6
"""Version of what decides a picture, its digest and its status before a code is computed;
CHANGELOG.md has them all.
"""

_CHOICES: Final = MappingProxyType(
    {
        "decoding": DECODING,
        "frame": "first",
        "exif_orientation": "applied",
        "colour_profile": "ignored",
        "depth": "stretched to 8 bits",
        "thumbnail": f"{tables.THUMBNAIL_SIDE}x{tables.THUMBNAIL_SIDE} L, bilinear",
        "file_digest": "blake3",
    }
)
"""What is done with every picture before it is hashed, whatever the settings."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker must know: the part of the config that decides the table."""

    algorithms: tuple[str, ...]
    bits: int
    mode: str
    background: str
    max_pixels: int
    transforms: tuple[
        str, ...
    ] = ()  # orientations that are hashed besides the picture as it stands

    @classmethod
    def of(cls, config: "Config") -> "Setup":
        """The part of the config that decides the table."""
        of = config.hash
        transforms = tables.ORIENTATIONS[config.search.orientations]
        return cls(of.algorithms, of.bits, of.mode, of.background, of.max_pixels, transforms)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Setup":
        """The inverse of `dataclasses.asdict`, also after a way through JSON."""
        lists = {name: tuple(values[name]) for name in ("algorithms", "transforms")}
        return cls(**{**values, **lists})

    def spec(self) -> dict[str, Any]:
        """The spec that travels with the codes: the settings and the choices made before a hash is
        computed.
        """
        lists = {"algorithms": list(self.algorithms), "transforms": list(self.transforms)}
        return {**asdict(self), **lists, **_CHOICES}

    def schema(self) -> pa.Schema:
        """Schema of the table."""
        return tables.hashes_schema({column: self.bits // 8 for column, _, _ in self.codes()})

    def codes(self) -> list[tuple[str, str, str]]:
        """(column, algorithm, transform) of every column of codes."""
        return [code for algorithm in self.algorithms for code in self.codes_of(algorithm)]

    def codes_of(self, algorithm: str) -> list[tuple[str, str, str]]:
        """(column, algorithm, transform) of one algorithm's columns of codes."""
        turns = ("identity", *self.transforms)
        return [
            (tables.code_column(algorithm, transform), algorithm, transform) for transform in turns
        ]
