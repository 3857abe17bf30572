"""What each algorithm is blind to: distances between photos and their edited copies, in mode
`fast`.

    python -m benchmarks.blindness [--photos DIR] [--n 200]

For each edit the mean and the 99th percentile, in bits: of 64, and of 256 for PDQ. The first row is
between different photos.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from dedup.hashers.measure import measure
from dedup.hashers.setup import Setup

ALGORITHMS: Final = {"ahash": 64, "dhash": 64, "phash": 64, "whash": 64, "pdq": 256}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, default=Path("../shared/data/caltech101/images"))
    parser.add_argument("--n", type=int, default=200)
    options = parser.parse_args()
    files = sorted(options.photos.rglob("*.jpg"))
    if not files:
        sys.exit(f"no photos in {options.photos}: name a folder of JPEGs with --photos")
    chosen = [
        files[k] for k in np.linspace(0, len(files) - 1, min(options.n, len(files))).astype(int)
    ]
    images = [Image.open(path).convert("RGB") for path in chosen]
    originals = codes([path.read_bytes() for path in chosen])
    print("| edit | " + " | ".join(ALGORITHMS) + " |\n|---" + "|---" * len(ALGORITHMS) + "|")
    print(
        row(
            "another photo",
            originals,
            {name: np.roll(of, 1, axis=0) for name, of in originals.items()},
        )
    )
    for name, edit in EDITS.items():
        print(row(name, originals, codes([edit(image) for image in images])), flush=True)


def codes(contents: list[bytes]) -> dict[str, NDArray[np.uint8]]:
    """Codes by algorithm, shape (n, bytes)."""
    found = {}
    for name, bits in ALGORITHMS.items():
        columns = measure(contents, Setup((name,), bits, "fast", "#ffffff", 100_000_000))
        found[name] = np.frombuffer(b"".join(columns[name].to_pylist()), np.uint8).reshape(
            len(contents), -1
        )
    return found


def row(name: str, a: Mapping[str, NDArray[np.uint8]], b: Mapping[str, NDArray[np.uint8]]) -> str:
    cells = []
    for algorithm in ALGORITHMS:
        bits = np.bitwise_count(a[algorithm] ^ b[algorithm]).sum(axis=1)
        cells.append(f"{bits.mean():.1f} / {np.percentile(bits, 99):.0f}")
    return f"| {name} | " + " | ".join(cells) + " |"


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def resized(image: Image.Image, scale: float) -> Image.Image:
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))


def cropped(image: Image.Image, share: float) -> Image.Image:
    x, y = round(image.width * share), round(image.height * share)
    return image.crop((x, y, image.width - x, image.height - y))


def bordered(image: Image.Image, share: float) -> Image.Image:
    x, y = round(image.width * share), round(image.height * share)
    return ImageOps.expand(image, (x, y, x, y), "white")


def watermarked(image: Image.Image) -> Image.Image:
    """White text over a third of the width, half transparent, in the lower right."""
    layer = Image.new("L", image.size)
    size = max(image.width // 9, 8)
    ImageDraw.Draw(layer).text(
        (image.width * 0.6, image.height - 1.5 * size), "© dedup", fill=128, font_size=size
    )
    return Image.composite(Image.new("RGB", image.size, "white"), image, layer)


EDITS: Final[Mapping[str, Callable[[Any], bytes]]] = {
    "JPEG quality 50": lambda image: jpeg(image, 50),
    "JPEG quality 20": lambda image: jpeg(image, 20),
    "resized to half": lambda image: jpeg(resized(image, 0.5)),
    "resized to 64 px": lambda image: jpeg(resized(image, 64 / min(image.size))),
    "brightness + 30 %": lambda image: jpeg(ImageEnhance.Brightness(image).enhance(1.3)),
    "brightness − 30 %": lambda image: jpeg(ImageEnhance.Brightness(image).enhance(0.7)),
    "crop 5 % on each side": lambda image: jpeg(cropped(image, 0.05)),
    "crop 10 % on each side": lambda image: jpeg(cropped(image, 0.1)),
    "white border 5 % on each side": lambda image: jpeg(bordered(image, 0.05)),
    "white border 10 % on each side": lambda image: jpeg(bordered(image, 0.1)),
    "rotated by 2°": lambda image: jpeg(image.rotate(2, Image.Resampling.BICUBIC)),
    "watermark": lambda image: jpeg(watermarked(image)),
}


if __name__ == "__main__":
    main()
