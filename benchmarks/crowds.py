"""Masses of pictures that look alike: whether a run ends, what it costs, and what it finds.

    python -m benchmarks.crowds WORK [--clipart DIR] [--diagrams DIR] [--part NAME]…

WORK is a folder for the datasets and the runs; a dataset that was made before is used again. `--clipart` and
`--diagrams` are unpacked packages of Debian 12 (`dpkg-deb -x`): `openclipart-png` and `opencv-doc`.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from benchmarks.edits import EASY, number_of

HELD_OUT_EVERY: Final = 10  # one picture in ten is in the test split
NOISE_LEVELS: Final = 4.0  # grey levels, standard deviation: a camera indoors
SCENE_SIZE: Final = (256, 192)  # pixels, width and height
COPIED_BY: Final = (
    *("JPEG, quality 20", "resized to half", "brightness - 30 %", "greyscale"),
    "crop of 5 % on each side",
)
N_DRAWINGS: Final = 4_598
MAX_DRAWING_BYTES: Final = 60_000  # larger ones are posters of up to 200 megapixels, which take minutes to shrink
COPIES_EVERY: Final = 10  # one clip-art picture in ten has a planted copy


def still_frames(work: Path, n_frames: int) -> Path:
    """Frames of one still camera with noise, JPEG; one in ten is a test frame."""
    return _made(work / f"frames-{n_frames}", _frame, range(n_frames))


def static_frames(work: Path, n_frames: int) -> Path:
    """Frames of one still camera that differ in a few pixels of one colour channel, PNG."""
    return _made(work / f"static-{n_frames}", _static_frame, range(n_frames))


def recompressed(work: Path, n_copies: int) -> Path:
    """One picture saved in many sizes and qualities."""
    return _made(work / f"recompressed-{n_copies}", _recompressed, range(n_copies))


def flat_pictures(work: Path, n_pictures: int) -> Path:
    """Pictures of one colour each."""
    return _made(work / f"flat-{n_pictures}", _flat, range(n_pictures))


def clip_art(work: Path, package: Path) -> Path:
    """Drawings of `openclipart-png`, spread over the package; one in ten has an edited copy in the test split."""
    small = sorted(path for path in package.rglob("*.png") if path.stat().st_size < MAX_DRAWING_BYTES)
    chosen = [small[k * len(small) // N_DRAWINGS] for k in range(N_DRAWINGS)]
    jobs = [(k, path, k % COPIES_EVERY == 0) for k, path in enumerate(chosen)]
    return _made(work / "clipart", _drawing, jobs)


def class_diagrams(work: Path, package: Path) -> Path:
    """The diagrams of classes of `opencv-doc`: two boxes with a word each and an arrow."""
    diagrams = sorted(
        path
        for path in package.rglob("*.png")
        if "__" in path.name or path.name.startswith(("class", "struct", "graph_"))
    )
    return _made(work / "diagrams", _diagram, list(enumerate(diagrams)))


def scene(seed: int, size: tuple[int, int] = SCENE_SIZE) -> Image.Image:
    """A drawn scene that no other seed has: soft colours and sharp boxes."""
    rng = np.random.default_rng(seed)
    soft = Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    for _ in range(12):
        x, y = rng.integers(0, size[0] - 40), rng.integers(0, size[1] - 40)
        wide, high = rng.integers(12, 60, 2)
        colour = tuple(int(level) for level in rng.integers(0, 256, 3))
        soft.paste(colour, (int(x), int(y), int(x + wide), int(y + high)))
    return soft


def _split(k: int) -> str:
    return "test" if k % HELD_OUT_EVERY == 0 else "train"


def _frame(folder: Path, k: int) -> None:
    rng = np.random.default_rng([1, k])
    levels = np.asarray(scene(1), np.float32) + rng.normal(0, NOISE_LEVELS, (SCENE_SIZE[1], SCENE_SIZE[0], 3))
    frame = Image.fromarray(levels.clip(0, 255).astype(np.uint8))
    frame.save(folder / _split(k) / f"{k:06d}.jpg", quality=90)


def _static_frame(folder: Path, k: int) -> None:
    levels = np.array(scene(2, (96, 72)))
    levels[60:62, 80:92, 0] ^= np.array([(k >> bit & 1) * 8 for bit in range(12)], np.uint8)
    Image.fromarray(levels).save(folder / _split(k) / f"{k:06d}.png")


def _recompressed(folder: Path, k: int) -> None:
    rng = np.random.default_rng([2, k])
    scale, quality = rng.uniform(0.5, 1.0), int(rng.integers(30, 96))
    size = (round(SCENE_SIZE[0] * scale), round(SCENE_SIZE[1] * scale))
    scene(3).resize(size, Image.Resampling.LANCZOS).save(folder / _split(k) / f"{k:06d}.jpg", quality=quality)


def _flat(folder: Path, k: int) -> None:
    rng = np.random.default_rng([3, k])
    colour = tuple(int(level) for level in rng.integers(0, 256, 3))
    Image.new("RGB", (64 + k % 64, 64), colour).save(folder / _split(k) / f"{k:06d}.png")


def _drawing(folder: Path, job: tuple[int, Path, bool]) -> None:
    k, path, copied = job
    picture = _on_white(path)
    name = f"{k:05d}-{path.stem}"
    picture.save(folder / "train" / f"{name}.png")
    if copied:
        edit = COPIED_BY[k // COPIES_EVERY % len(COPIED_BY)]
        (folder / "test" / f"{name}@copy.jpg").write_bytes(EASY[edit](picture, number_of(name)))


def _diagram(folder: Path, job: tuple[int, Path]) -> None:
    k, path = job
    _on_white(path).save(folder / _split(k) / f"{k:05d}-{path.stem}.png")


def _on_white(path: Path) -> Image.Image:
    picture = Image.open(path).convert("RGBA")
    picture.thumbnail((400, 400))
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


def _made(folder: Path, make: Callable[[Path, Any], None], jobs: Sequence[Any]) -> Path:
    if folder.exists():
        return folder
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(partial(make, folder), jobs, chunksize=50))
    return folder
