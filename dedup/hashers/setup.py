"""What decides the table of hashes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from dedup import tables
from dedup.config import Config


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker must know: the part of the config that decides the table."""

    algorithms: tuple[str, ...]
    bits: int
    mode: str
    background: str
    max_pixels: int
    transforms: tuple[str, ...] = ()  # orientations that are hashed besides the picture as it stands

    @classmethod
    def of(cls, config: Config) -> "Setup":
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
        """The spec that travels with the codes: the settings and the choices made before a hash is computed."""
        return {
            "algorithms": list(self.algorithms),
            "bits": self.bits,
            "mode": self.mode,
            "background": self.background,
            "max_pixels": self.max_pixels,
            "transforms": list(self.transforms),
            "frame": "first",
            "exif_orientation": "applied",
            "colour_profile": "ignored",
            "depth": "scaled to 8 bits",
            "thumbnail": f"{tables.THUMBNAIL_SIDE}x{tables.THUMBNAIL_SIDE} L, bilinear",
            "file_digest": "sha256",
        }

    def schema(self) -> pa.Schema:
        """Schema of the table."""
        return tables.hashes_schema({column: self.bits // 8 for column, _, _ in self.codes()})

    def codes(self) -> list[tuple[str, str, str]]:
        """(column, algorithm, transform) of every column of codes."""
        return [
            (tables.code_column(algorithm, transform), algorithm, transform)
            for algorithm in self.algorithms
            for transform in ("identity", *self.transforms)
        ]
