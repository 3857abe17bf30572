"""Which copy `policy.duplicates: keep_best` keeps: photos against edited copies of themselves.

    python -m benchmarks.keeping --half scored

The limits of `dedup.verify.preference` were chosen with `--half chosen`. Names are drawn, so that
no order of ids helps. Every edit but one is saved as JPEG at quality 95, as people save again what
they have changed; the originals are of lower quality.
"""

import argparse
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

import dedup

Edit = Callable[[Image.Image, random.Random], Image.Image]

_N_CHOSEN: Final = 1000  # photos that limits may be chosen on

PHOTOS: Final = Path("../shared/data/caltech101/images")


def _blurred_enlargement(photo: Image.Image, draw: random.Random) -> Image.Image:
    """Made from a half to a quarter of the pixels of each side, with 1.5 to 3 times as many as the
    photo.
    """
    shrink, enlarge = draw.choice((2, 3, 4)), draw.choice((1.5, 2, 3))
    small = photo.resize((photo.width // shrink, photo.height // shrink))
    return small.resize(
        (int(photo.width * enlarge), int(photo.height * enlarge)), Image.Resampling.BICUBIC
    )


def _half(photo: Image.Image, _: random.Random) -> Image.Image:
    return photo.resize((photo.width // 2, photo.height // 2), Image.Resampling.LANCZOS)


def _grey(photo: Image.Image, _: random.Random) -> Image.Image:
    return photo.convert("L")


def _watermark(photo: Image.Image, draw: random.Random) -> Image.Image:
    marked = photo.copy()
    font = ImageFont.load_default(max(12, photo.height // 8))
    place = photo.width * draw.uniform(0.05, 0.4), photo.height * draw.uniform(0.1, 0.8)
    colour = (255, 255, 255, draw.choice((128, 200, 255)))
    ImageDraw.Draw(marked, "RGBA").text(place, "© sample.org", fill=colour, font=font)
    return marked


def _border(photo: Image.Image, draw: random.Random) -> Image.Image:
    width = max(4, int(min(photo.size) * draw.choice((0.04, 0.08))))
    bordered = Image.new(
        "RGB", (photo.width + 2 * width, photo.height + 2 * width), draw.choice(("white", "black"))
    )
    bordered.paste(photo, (width, width))
    return bordered


def _sharpened(photo: Image.Image, draw: random.Random) -> Image.Image:
    return photo.filter(draw.choice((ImageFilter.SHARPEN, ImageFilter.UnsharpMask(2, 150, 3))))


def _same(photo: Image.Image, _: random.Random) -> Image.Image:
    return photo


def _blurred(photo: Image.Image, draw: random.Random) -> Image.Image:
    return photo.filter(ImageFilter.GaussianBlur(draw.choice((1, 1.5))))


def _enlarged(photo: Image.Image, _: random.Random) -> Image.Image:
    return photo.resize((2 * photo.width, 2 * photo.height), Image.Resampling.BICUBIC)


def _contrast(photo: Image.Image, _: random.Random) -> Image.Image:
    return ImageEnhance.Contrast(photo).enhance(1.4)


EDITS: Final[dict[str, tuple[Edit, int]]] = {
    "blurred enlargement": (_blurred_enlargement, 95),
    "half size": (_half, 95),
    "JPEG q 20": (_same, 20),
    "grey": (_grey, 95),
    "watermark": (_watermark, 95),
    "border": (_border, 95),
    "sharpened": (_sharpened, 95),
    "blurred, same size": (_blurred, 95),
    "enlarged twice": (_enlarged, 95),
    "more contrast": (_contrast, 95),
}
"""Edits with the JPEG quality that they are saved at; the last three are no part of the goal."""


def chosen(root: Path, half: str, n: int) -> list[Path]:
    """The first n colour photos of a half: 1,000 photos that are drawn, or all others."""
    photos = sorted(root.glob("*/*.jpg"))
    random.Random(1).shuffle(photos)
    found: list[Path] = []
    for path in photos[:_N_CHOSEN] if half == "chosen" else photos[_N_CHOSEN:]:
        with Image.open(path) as photo:
            if photo.mode == "RGB":  # a grey copy of a grey photo is no edit
                found.append(path)
        if len(found) == n:
            break
    return found


def kept(photos: list[Path], name: str, seed: int) -> tuple[int, int]:
    """How many of the photos are kept, of how many pairs that were found."""
    edit, quality = EDITS[name]
    draw = random.Random(f"{seed} {name}")
    with tempfile.TemporaryDirectory() as folder:
        originals: dict[str, str] = {}
        for number, path in enumerate(photos):
            with Image.open(path) as opened:
                photo = opened.convert("RGB")
            first = draw.random() < 0.5
            names = [f"{number:04d}{side}.jpg" for side in ("ab" if first else "ba")]
            (Path(folder) / names[0]).write_bytes(path.read_bytes())
            edit(photo, draw).save(Path(folder) / names[1], quality=quality)
            originals[names[0]] = names[1]
        run = dedup.audit(folder, cache={"folder": None}, max_distance=16)
        actions: dict[str, Any] = dict(
            zip(run.decisions["id"].to_pylist(), run.decisions["action"].to_pylist(), strict=True)
        )
    found = [(one, two) for one, two in originals.items() if "drop" in {actions[one], actions[two]}]
    return sum(actions[one] == "keep" for one, _ in found), len(found)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, default=PHOTOS)
    parser.add_argument("--half", choices=("chosen", "scored"), default="scored")
    parser.add_argument("-n", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--edits", nargs="*", default=list(EDITS))
    given = parser.parse_args()
    if not given.photos.is_dir():
        parser.error(f"{given.photos} is not a folder of photos; name one with --photos.")

    photos = chosen(given.photos, given.half, given.n)
    print(f"{len(photos)} photos, half {given.half!r}")
    for name in given.edits:
        n_kept, n_found = kept(photos, name, given.seed)
        print(f"| {name} | {n_found} | {100 * n_kept / max(n_found, 1):.1f} % |", flush=True)


if __name__ == "__main__":
    main()
