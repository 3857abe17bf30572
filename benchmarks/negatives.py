"""Pictures that are easily taken for one another and are not the same: no two of one kind may be a
pair.
"""

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

Draw = Callable[[np.random.Generator], Image.Image]

_WORDS: Final = (
    "the",
    "of",
    "pixel",
    "hash",
    "near",
    "copy",
    "train",
    "split",
    "leak",
    "found",
    "image",
    "which",
    "under",
    "scale",
)


def white_page(random: np.random.Generator) -> Image.Image:
    """A blank page with a page number and a speck."""
    page = Image.new("RGB", (300, 400), (int(random.integers(245, 256)),) * 3)
    draw = ImageDraw.Draw(page)
    draw.text((145, 380), str(random.integers(1, 999)), fill="black")
    x, y = int(random.integers(20, 280)), int(random.integers(20, 360))
    draw.ellipse((x, y, x + 3, y + 3), fill=(200, 200, 200))
    return page


def text_page(random: np.random.Generator) -> Image.Image:
    """A page of text: the layout is that of all others, the words are not."""
    page = Image.new("RGB", (300, 400), "white")
    draw = ImageDraw.Draw(page)
    for y in range(24, 376, 13):
        line, width = "", int(random.integers(120, 250)) if random.random() < 0.15 else 250
        while len(line) * 6 < width - 30:
            line += f"{_WORDS[random.integers(len(_WORDS))]} "
        draw.text((24, y), line, fill="black")
    return page


def chart(random: np.random.Generator) -> Image.Image:
    """Bars in the same axes."""
    page = Image.new("RGB", (320, 240), "white")
    draw = ImageDraw.Draw(page)
    draw.line((30, 10, 30, 210, 310, 210), fill="black", width=2)
    for k in range(8):
        draw.rectangle(
            (45 + 33 * k, 210 - int(random.integers(10, 190)), 65 + 33 * k, 210), fill=(40, 90, 180)
        )
    return page


def digits(random: np.random.Generator) -> Image.Image:
    """Four large digits on white."""
    small = Image.new("L", (28, 11), 255)
    ImageDraw.Draw(small).text((2, 0), f"{random.integers(1000, 10000)}", fill=0)
    return small.resize((280, 110), Image.Resampling.BICUBIC).convert("RGB")


def night_sky(random: np.random.Generator) -> Image.Image:
    """Stars on black."""
    sky = np.zeros((200, 300), np.float64)
    for _ in range(150):
        sky[random.integers(200), random.integers(300)] = random.uniform(60, 255)
    return Image.fromarray(
        (sky + random.uniform(0, 8, sky.shape)).clip(0, 255).astype(np.uint8)
    ).convert("RGB")


def silhouette(random: np.random.Generator) -> Image.Image:
    """A dark shape of its own on a plain sky."""
    sky = np.linspace(200, 240, 200)[:, None] + np.zeros(300)
    image = Image.fromarray(sky.astype(np.uint8)).convert("RGB")
    draw, angles = ImageDraw.Draw(image), np.linspace(0, 2 * np.pi, 12, endpoint=False)
    radius = random.uniform(15, 60, 12)
    points = [
        (150 + r * np.cos(t), 110 + r * np.sin(t)) for r, t in zip(radius, angles, strict=True)
    ]
    draw.polygon(points, fill=(20, 20, 20))
    return image


def matrix_code(random: np.random.Generator) -> Image.Image:
    """Like a QR code: three finders in the corners, random modules."""
    modules = random.integers(0, 2, (25, 25)) * 255
    finder = np.full((8, 8), 255)
    finder[:7, :7] = 0
    finder[1:6, 1:6] = 255
    finder[2:5, 2:5] = 0
    modules[:8, :8], modules[:8, -8:], modules[-8:, :8] = finder, finder[:, ::-1], finder[::-1]
    image = Image.fromarray(modules.astype(np.uint8)).resize((200, 200), Image.Resampling.NEAREST)
    page = Image.new("RGB", (232, 232), "white")
    page.paste(image, (16, 16))
    return page


def icon(random: np.random.Generator) -> Image.Image:
    """A round button with another sign on each."""
    image = Image.new("RGB", (96, 96), "white")
    draw = ImageDraw.Draw(image)
    draw.ellipse((8, 8, 88, 88), fill=tuple(int(v) for v in random.integers(60, 200, 3)))
    for _ in range(3):
        x, y = random.integers(24, 60, 2)
        w, h = random.integers(6, 26, 2)
        draw.rectangle((x, y, x + w, y + h), fill="white")
    return image


KINDS: Final[dict[str, Draw]] = {
    "white pages": white_page,
    "text pages": text_page,
    "charts": chart,
    "digits": digits,
    "night skies": night_sky,
    "silhouettes": silhouette,
    "matrix codes": matrix_code,
    "icons": icon,
}


def drawn(each: int, seed: int = 5) -> Iterator[tuple[str, int, Image.Image]]:
    """(kind, number, picture), `each` of every kind."""
    for k, (kind, draw) in enumerate(KINDS.items()):
        for number in range(each):
            yield kind, number, draw(np.random.default_rng([seed, k, number]))
