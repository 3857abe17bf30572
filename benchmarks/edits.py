"""Edited copies of a picture, as encoded bytes: what happens to pictures on their way into a
dataset.
"""

import hashlib
from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance

Edit = Callable[[Image.Image, int], bytes]
"""(picture in RGB, a number that stands for its name) → encoded copy."""


def number_of(name: str) -> int:
    """A number for a name, the same in every process; its lowest bit says to which half the photo
    belongs.
    """
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")


def encoded(image: Image.Image, quality: int = 92) -> bytes:
    """As JPEG; as PNG up to 64 px, where one 8 × 8 block is a sixteenth of the picture or more."""
    sink = BytesIO()
    if quality == 92 and max(image.size) <= 64:
        image.save(sink, "PNG")
    else:
        image.save(sink, "JPEG", quality=quality)
    return sink.getvalue()


def _jpeg(image: Image.Image, _: int) -> bytes:
    return encoded(image, 20)


def _to_64(image: Image.Image, _: int) -> bytes:
    scale = 64 / max(image.size)
    return encoded(_resized(image, image.width * scale, image.height * scale))


def _half(image: Image.Image, _: int) -> bytes:
    return encoded(_resized(image, image.width / 2, image.height / 2))


def _resized(image: Image.Image, width: float, height: float) -> Image.Image:
    return image.resize((max(round(width), 1), max(round(height), 1)), Image.Resampling.LANCZOS)


def _brightness(image: Image.Image, _: int, *, factor: float) -> bytes:
    return encoded(ImageEnhance.Brightness(image).enhance(factor))


def _contrast(image: Image.Image, _: int, *, factor: float) -> bytes:
    return encoded(ImageEnhance.Contrast(image).enhance(factor))


def _gamma(image: Image.Image, _: int, *, power: float) -> bytes:
    return encoded(image.point([round(255 * (value / 255) ** power) for value in range(256)] * 3))


def _grey(image: Image.Image, _: int) -> bytes:
    return encoded(image.convert("L").convert("RGB"))


def _crop(image: Image.Image, _: int, *, share: float) -> bytes:
    x, y = image.width * share, image.height * share
    size = (round(image.width - 2 * x), round(image.height - 2 * y))
    return encoded(
        image.resize(size, Image.Resampling.BICUBIC, box=(x, y, image.width - x, image.height - y))
    )


def _border(image: Image.Image, number: int, *, share: float) -> bytes:
    colour = ((255, 255, 255), (0, 0, 0), (128, 128, 128), (180, 30, 30))[number // 2 % 4]
    x, y = max(round(image.width * share), 1), max(round(image.height * share), 1)
    framed = Image.new("RGB", (image.width + 2 * x, image.height + 2 * y), colour)
    framed.paste(image, (x, y))
    return encoded(framed)


def _watermark(image: Image.Image, number: int) -> bytes:
    """An opaque box with a text, 30 % wide and 12 % high, in one of the corners."""
    marked = image.copy()
    width, height = max(round(0.3 * image.width), 3), max(round(0.12 * image.height), 3)
    x = (0, image.width - width)[number // 2 % 2]
    y = (0, image.height - height)[number // 4 % 2]
    box = Image.new("RGB", (100, 24), "white")
    ImageDraw.Draw(box).text((8, 6), "copy.example", fill="black")
    marked.paste(box.resize((width, height)), (x, y))
    return encoded(marked)


def _rotate(image: Image.Image, number: int, *, degrees: float) -> bytes:
    sign = 1 if number // 2 % 2 else -1
    return encoded(image.rotate(sign * degrees, Image.Resampling.BICUBIC))


def _hue(image: Image.Image, number: int) -> bytes:
    hsv = np.asarray(image.convert("HSV")).copy()
    hsv[..., 0] += np.uint8(40 + number // 2 % 176)  # of 256, wrapping
    return encoded(Image.fromarray(hsv, "HSV").convert("RGB"))


def _square(image: Image.Image, _: int) -> bytes:
    """Squeezed to a square, whatever the aspect was."""
    side = min(image.size)
    return encoded(_resized(image, side, side))


EASY: Final[dict[str, Edit]] = {
    "JPEG, quality 20": _jpeg,
    "resized to 64 px": _to_64,
    "resized to half": _half,
    "brightness + 30 %": partial(_brightness, factor=1.3),
    "brightness - 30 %": partial(_brightness, factor=0.7),
    "contrast + 40 %": partial(_contrast, factor=1.4),
    "contrast - 40 %": partial(_contrast, factor=0.6),
    "gamma 0.6": partial(_gamma, power=0.6),
    "gamma 1.6": partial(_gamma, power=1.6),
    "greyscale": _grey,
    "crop of 5 % on each side": partial(_crop, share=0.05),
}
HARD: Final[dict[str, Edit]] = {
    "border of 5 % on each side": partial(_border, share=0.05),
    "watermark box": _watermark,
    "rotated by 2°": partial(_rotate, degrees=2),
    "hue shift": _hue,
    "aspect 4:3 to 1:1": _square,
}
EDITS: Final = EASY | HARD
