"""How far mode `fast` is from ImageHash's own codes, which mode `compat` gives: bits of 64 by
algorithm.

    python -m benchmarks.modes [--photos DIR] [--exotic DIR] [--every 5]

Pictures without information are left out: no code of theirs is searched. In whash a value can equal
the median of all but for what ImageHash's own floating point loses, which then decides the bit; the
last column leaves such bits out.
"""

import argparse
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pywt  # type: ignore[import-untyped]
from numpy.typing import NDArray
from PIL import Image

from dedup.decoding.pictures import Unreadable, open_picture
from dedup.hashers.measure import measure
from dedup.hashers.setup import Setup
from dedup.tables import MIN_INFORMATION

ALGORITHMS: Final = ("ahash", "phash", "dhash", "whash")
COLUMNS: Final = (*ALGORITHMS, "whash but ties")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, default=Path("../shared/data/caltech101/images"))
    parser.add_argument("--exotic", type=Path, default=Path("../shared/data/photos"))
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument(
        "--worst", type=int, default=0, help="name so many of the furthest files of each algorithm"
    )
    options = parser.parse_args()
    photos = distances(sorted(options.photos.rglob("*.jpg"))[:: options.every])
    exotic = distances(sorted(path for path in options.exotic.rglob("*") if path.is_file()))
    usual = {
        path: of
        for path, of in exotic.items()
        if of["side"] >= 64 and of["longer"] <= 4 * of["side"]
    }
    rest = {path: of for path, of in exotic.items() if path not in usual}
    print("| bits of 64, mean / 99th percentile | files | " + " | ".join(COLUMNS) + " |")
    print("|---" * (2 + len(COLUMNS)) + "|")
    for name, found in {
        "photos": photos,
        "exotic files, 64 px or more": usual,
        "exotic files, smaller or very long": rest,
        "all exotic files": exotic,
        "all": photos | exotic,
    }.items():
        print(
            f"| {name} | {len(found)} |"
            f" {' | '.join(said(found.values(), each) for each in COLUMNS)} |"
        )
    for algorithm in ALGORITHMS if options.worst else ():
        furthest = sorted(exotic, key=lambda path: -exotic[path][algorithm])[: options.worst]
        print(
            algorithm, *(f"{path.name}: {exotic[path][algorithm]}" for path in furthest), sep="\n  "
        )


def distances(paths: Iterable[Path]) -> dict[Path, Mapping[str, Any]]:
    """By file: bits between the modes, and the sides."""
    found: dict[Path, Mapping[str, Any]] = {}
    setups = [Setup(ALGORITHMS, 64, mode, "#ffffff", 100_000_000) for mode in ("fast", "compat")]
    for path in paths:
        ours, theirs = (
            {
                name: column[0].as_py()
                for name, column in measure([path.read_bytes()], setup).items()
            }
            for setup in setups
        )
        if ours["status"] != "ok" or ours["information"] < MIN_INFORMATION:
            continue
        sides = sorted((ours["width"], ours["height"]))
        bits = {
            name: (int.from_bytes(ours[name]) ^ int.from_bytes(theirs[name])).bit_count()
            for name in ALGORITHMS
        }
        differs = np.unpackbits(
            np.frombuffer(ours["whash"], np.uint8) ^ np.frombuffer(theirs["whash"], np.uint8)
        )
        bits["whash but ties"] = int(differs[~ties(path)].sum()) if bits["whash"] else 0
        found[path] = {**bits, "side": sides[0], "longer": sides[1]}
    return found


def ties(path: Path) -> NDArray[np.bool_]:
    """Which of the 64 values of ImageHash's whash equal their median, within what its arithmetic
    loses.
    """
    picture = open_picture(path.read_bytes(), max_pixels=100_000_000)
    if isinstance(picture, Unreadable):
        return np.zeros(64, bool)
    side = max(1 << int(math.log2(min(picture.image.size))), 8)
    pixels = (
        np.asarray(picture.image.convert("L").resize((side, side), Image.Resampling.LANCZOS)) / 255
    )
    coefficients = pywt.wavedec2(pixels, "haar", level=int(math.log2(side)))
    coefficients[0] *= 0
    low = pywt.wavedec2(
        pywt.waverec2(coefficients, "haar"), "haar", level=int(math.log2(side)) - 3
    )[0]
    tied: NDArray[np.bool_] = np.abs(low - np.median(low)).ravel() < 1e-9
    return tied


def said(found: Iterable[Mapping[str, Any]], algorithm: str) -> str:
    values = [of[algorithm] for of in found]
    return f"{np.mean(values):.2f} / {math.ceil(np.percentile(values, 99))}" if values else "none"


if __name__ == "__main__":
    main()
