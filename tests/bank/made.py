"""Pictures for the tests of banks: measures without pixels, and small banks of made photos."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from dedup.bank import Bank, BankPolicy, MeasuredPicture
from tests.pictures import encoded, photo

EVERYTHING = BankPolicy(reject=1.0, review=0.0)
"""Under it every entry within the distance is a match, however little it looks alike."""


def measures(
    dhash: int, phash: int, *, signs: int = 0, information: float = 50.0
) -> MeasuredPicture:
    """A picture of which there is nothing but these two codes of 64 bits, as numbers."""
    return MeasuredPicture(
        status="ok",
        width=640,
        height=480,
        format="JPEG",
        information=information,
        codes={"dhash": dhash.to_bytes(8, "little"), "phash": phash.to_bytes(8, "little")},
        signs=signs.to_bytes(68, "little"),
    )


def photos(seeds: Sequence[int], size: tuple[int, int] = (160, 120)) -> dict[str, bytes]:
    """Different made photos as PNG files, by name."""
    return {f"{seed:03}.png": encoded(photo(seed, size)) for seed in seeds}


def bank_of(path: Path, pictures: dict[str, bytes]) -> Bank:
    """A bank of these pictures."""
    bank = Bank.create(path)
    with bank.writing():
        for name, data in pictures.items():
            bank.add(data, name)
    return bank


def edited(data: bytes, quality: int = 60) -> bytes:
    """The picture slightly cropped, made smaller and saved as JPEG."""
    with Image.open(BytesIO(data)) as image:
        width, height = image.size
        inner = image.convert("RGB").crop((2, 2, width - 2, height - 1))
        return encoded(inner.resize((width * 3 // 4, height * 3 // 4)), "JPEG", quality=quality)


def random_picture(rng: np.random.Generator) -> MeasuredPicture:
    """A picture whose codes and signs are random."""
    dhash, phash = (int(code) for code in rng.integers(0, 2**63, 2))
    return measures(dhash, phash, signs=int.from_bytes(rng.bytes(68), "little"))
