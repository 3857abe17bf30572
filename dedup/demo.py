"""The demo: a small dataset of real pictures with planted copies, and a count of which ones a run
finds.

The pictures are the photos inside the wheels of scikit-image and scikit-learn, whole and in tiles
that do not overlap.
"""

import csv
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO, StringIO
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from dedup import files, graph, pipeline
from dedup.clock import Observer
from dedup.config import build
from dedup.errors import MissingExtraError, RunError
from dedup.runs.result import Run
from dedup.tables import THUMBNAIL_SIDE

KIND: Final = "demo"
"""What the marker of a demo's folder says that it is."""

_FEWEST_CELLS: Final = 80.0
"""Cells of 256 that hold structure. With fewer, strangers reach a similarity of 0.97 by thumbnails
alone, so that no limit tells a copy from them.
"""

PLANTED: Final = "planted.csv"
SEED: Final = 7
TILE: Final = 96  # pixels
COPIES_OF_EACH_SORT: Final = 12
_SHARES: Final = (("train", 0.7), ("validation", 0.15), ("test", 0.15))
# standard deviation in grey levels: sky, night and black margins make no picture
_FLAT: Final = 10.0
_PHOTOS: Final = (
    "astronaut.png", "camera.png", "cell.png", "chelsea.png", "clock_motion.png", "coffee.png",
    "coins.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png", "page.png",
    "retina.jpg", "rocket.jpg", "text.png",
)  # fmt: skip
_TEXTURES: Final = ("brick.png", "grass.png", "gravel.png")
_TILES_OF_A_TEXTURE: Final = 12
_TILES_OF_A_PHOTO: Final = 80  # a large photo does not outweigh the others


@dataclass(frozen=True, slots=True)
class Plant:
    """A planted copy. Ids are paths below the dataset."""

    sort: str
    original: str
    copy: str

    @property
    def leaks(self) -> bool:
        """Whether the two are in different splits, one of them train."""
        splits = {self.original.split("/")[0], self.copy.split("/")[0]}
        return len(splits) == 2 and "train" in splits


@dataclass(frozen=True, slots=True)
class Score:
    """How many planted copies of one sort were found."""

    sort: str
    planted: int
    found: int
    plain: int  # of those not found, how many have too little structure to be told apart
    leaks: int  # planted between train and a held-out split
    leaks_removed: int  # of these, how many have no train side left in the written splits


def run(
    folder: Path, *, workers: int | None = None, observer: Observer | None = None
) -> tuple[Run, list[Score]]:
    """Build the dataset in `folder/dataset`, run the whole stage over it into `folder/run`, and
    score it.

    What an earlier demo made there is replaced. Anything else is refused: a folder may be called
    `dataset` and not be this demo's.
    """
    owner = _claimed(folder)
    unfinished, dataset = folder / files.OWN / "dataset", folder / "dataset"
    files.remove(unfinished, owner)
    plants = build_dataset(unfinished)
    planted = _listing(plants)

    files.remove(dataset, owner)
    made = {
        dataset.name: files.proof_of(unfinished),
        PLANTED: files.proof_of_text(planted),
        "run": None,
    }
    owner = files.mark(folder, KIND, made)
    unfinished.rename(dataset)
    files.write_text(folder / PLANTED, planted)

    config = build(
        {
            "dataset": {"source": "imagefolder", "path": str(dataset)},
            "search": {"orientations": "mirrored"},
            "output": {"dir": str(folder / "run")},
            "engine": {"workers": workers},
        }
    )
    result = pipeline.run(config, observer=observer, overwrite=True)

    return result, score(result, plants)


def _claimed(folder: Path) -> files.Marked:
    """The demo's folder, marked as such; raises `RunError` where anything in it is not of an
    earlier demo.
    """
    if folder.exists() and not folder.is_dir():
        message = f"{str(folder)!r} is a file. Name a new or empty folder for the demo."
        raise RunError(message)

    folder.mkdir(parents=True, exist_ok=True)
    owner = files.marked(folder, KIND)
    strangers = (
        owner.strangers()
        if owner is not None
        else sorted(entry.name for entry in folder.iterdir() if not files.is_unfinished_mark(entry))
    )

    if strangers:
        message = (
            f"The folder {str(folder)!r} holds other files: {strangers[0]!r} was not made by the"
            " demo, or was changed since. Name a new or empty one."
        )
        raise RunError(message)

    return files.mark(folder, KIND)


def _listing(plants: list[Plant]) -> str:
    """What was planted, as CSV."""
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(["sort", "original", "copy"])
    writer.writerows((plant.sort, plant.original, plant.copy) for plant in plants)

    return text.getvalue()


def build_dataset(dataset: Path) -> list[Plant]:
    """Write the pictures as split/label/file and return what was planted. The same bytes at every
    call.
    """
    chance = random.Random(SEED)
    pictures = list(_pictures())
    chance.shuffle(pictures)
    placed: dict[str, list[str]] = {name: [] for name, _ in _SHARES}
    splits = [name for name, share in _SHARES for _ in range(round(share * len(pictures)) + 1)]

    for (label, name, image), split in zip(pictures, splits, strict=False):
        suffix = "jpg" if chance.random() < 0.7 else "png"
        target = dataset / split / label / f"{name}.{suffix}"
        _save(image, target)
        placed[split].append(target.relative_to(dataset).as_posix())

    plants = list(_plants(dataset, placed, chance))
    _break_some(dataset)

    return plants


def score(result: Run, plants: list[Plant]) -> list[Score]:
    """Count per sort. A copy is found when `pairs` holds the two, or puts both into one class of
    identical pictures.
    """
    sample_of = {name: sample for sample, name in enumerate(result.manifest["id"].to_pylist())}
    actions = dict(zip(sample_of, result.decisions["action"].to_pylist(), strict=True))
    matches = graph.from_pairs(result.pairs, len(result.manifest))

    def found(plant: Plant) -> bool:
        a, b = (int(matches.class_of[sample_of[name]]) for name in (plant.original, plant.copy))
        return a == b or any(int(matches.near_b[k]) == b for k in matches.near(a))

    def removed(plant: Plant) -> bool:
        return any(
            actions[name] == "drop"
            for name in (plant.original, plant.copy)
            if name.startswith("train/")
        )

    scores = []
    is_plain = _plain(result)
    for sort in dict.fromkeys(plant.sort for plant in plants):
        those = [plant for plant in plants if plant.sort == sort]
        missed = [plant for plant in those if not found(plant)]
        n_plain = sum(is_plain(sample_of[plant.original]) for plant in missed)
        leaks = [plant for plant in those if plant.leaks]
        n_removed = sum(map(removed, leaks))
        n_found = len(those) - len(missed)
        scores.append(Score(sort, len(those), n_found, n_plain, len(leaks), n_removed))

    return scores


def _plain(result: Run) -> Callable[[int], bool]:
    """Whether the picture of a sample has too little structure: a copy of it cannot be told from a
    stranger.
    """
    # Imported here: it brings numba, which a listing of the demo has no use for.
    from dedup.verify.determinacy import cells

    thumbnail_of = result.store.thumbnails()

    def is_plain(sample: int) -> bool:
        stored = thumbnail_of([sample])[0]
        levels = np.frombuffer(stored or bytes(THUMBNAIL_SIDE**2), np.uint8)
        return bool(cells(levels.reshape(1, THUMBNAIL_SIDE, THUMBNAIL_SIDE))[0] < _FEWEST_CELLS)

    return is_plain


def _photos(names: tuple[str, ...]) -> Iterator[tuple[str, Image.Image]]:
    try:
        import skimage  # an extra
        import sklearn  # an extra
    except ImportError as error:
        message = "The demo's pictures come with an extra: pip install 'dedup-images[demo]'."
        raise MissingExtraError(message) from error

    folders = [
        Path(skimage.__file__).parent / "data",
        Path(sklearn.__file__).parent / "datasets" / "images",
    ]
    for name in names:
        path = next((folder / name for folder in folders if (folder / name).exists()), None)
        if path is not None:  # another version of the wheel may hold fewer photos
            with Image.open(path) as image:
                yield Path(name).stem, image.convert("L" if image.mode == "L" else "RGB")


def _pictures() -> Iterator[tuple[str, str, Image.Image]]:
    """(label, name, picture): whole photos, their tiles, and a few tiles of plain textures."""
    for photos, most in (
        (("china.jpg", "flower.jpg", *_PHOTOS), _TILES_OF_A_PHOTO),
        (_TEXTURES, _TILES_OF_A_TEXTURE),
    ):
        for label, photo in _photos(photos):
            if most == _TILES_OF_A_PHOTO:
                yield label, label, photo
            tiles = [
                tile
                for tile in _tiles(photo)
                if float(np.std(np.asarray(tile[1].convert("L")))) > _FLAT
            ]
            for name, tile in (
                tiles
                if len(tiles) <= most
                else [tiles[k * len(tiles) // most] for k in range(most)]
            ):
                yield label, f"{label}_{name}", tile


def _tiles(photo: Image.Image) -> list[tuple[str, Image.Image]]:
    """Tiles in rows and columns, none overlapping another."""
    return [
        (
            f"{row:02d}_{column:02d}",
            photo.crop((TILE * column, TILE * row, TILE * (column + 1), TILE * (row + 1))),
        )
        for row in range(photo.height // TILE)
        for column in range(photo.width // TILE)
    ]


def _recompressed(image: Image.Image) -> Image.Image:
    sink = BytesIO()
    image.save(sink, "JPEG", quality=40)
    return Image.open(sink)


def _cropped(image: Image.Image) -> Image.Image:
    """3 % of width and height less, the same on both sides."""
    x, y = round(0.015 * image.width), round(0.015 * image.height)
    return image.crop((x, y, image.width - x, image.height - y))


def _resized(image: Image.Image) -> Image.Image:
    return image.resize(
        (round(0.6 * image.width), round(0.6 * image.height)), Image.Resampling.LANCZOS
    )


def _brightened(image: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(1.25)


_EDITS: Final[dict[str, Callable[[Image.Image], Image.Image]]] = {
    "recompressed": _recompressed,
    "resized": _resized,
    "brightened": _brightened,
    "cropped by 3 %": _cropped,
    "mirrored": ImageOps.mirror,
}


def _plants(dataset: Path, placed: dict[str, list[str]], chance: random.Random) -> Iterator[Plant]:
    """Copies of each sort: a third within train, a third from train into a held-out split, a third
    the other way.
    """
    unused = {split: chance.sample(names, len(names)) for split, names in placed.items()}
    labels = sorted({name.split("/")[1] for names in placed.values() for name in names})
    for sort in ("identical bytes", "same pixels, other format", *_EDITS, "under another label"):
        for k in range(COPIES_OF_EACH_SORT):
            source, target = (
                ("train", "train"),
                ("train", "test"),
                ("validation", "train"),
                ("test", "train"),
            )[k % 4]
            if k == 5:
                target = "validation"
            original = unused[source].pop()
            yield Plant(sort, original, _plant(dataset, original, target, sort, labels, chance))


def _plant(
    dataset: Path, original: str, split: str, sort: str, labels: list[str], chance: random.Random
) -> str:
    """Write one copy and return its id."""
    data = (dataset / original).read_bytes()
    _, label, name = original.split("/")
    stem, _, suffix = name.rpartition(".")
    slug = sort.split(",")[0].replace(" ", "_").replace("_%", "")
    if sort == "under another label":
        label = chance.choice([other for other in labels if other != label])

    if sort in {"identical bytes", "under another label"}:
        copy = dataset / split / label / f"{stem}_{slug}.{suffix}"
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(data)
        return copy.relative_to(dataset).as_posix()

    image = Image.open(BytesIO(data))
    if sort in _EDITS:
        copy = dataset / split / label / f"{stem}_{slug}.jpg"
        _save(_EDITS[sort](image), copy)
    else:
        copy = dataset / split / label / f"{stem}_{slug}.{'png' if suffix == 'jpg' else 'bmp'}"
        _save(image, copy)

    return copy.relative_to(dataset).as_posix()


def _save(image: Image.Image, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    image.save(target, quality=90)  # formats without loss ignore it


def _break_some(dataset: Path) -> None:
    """Files that no decoder can read, each in its own way, and two that are no pictures at all."""
    folder = dataset / "train" / "broken"
    folder.mkdir(parents=True, exist_ok=True)
    whole = BytesIO()
    noise = np.random.default_rng(SEED).integers(0, 256, (96, 96), dtype=np.uint8)
    Image.fromarray(noise).save(whole, "JPEG")
    (folder / "cut_short.jpg").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    (folder / "cut_short_again.jpg").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    (folder / "empty.png").write_bytes(b"")
    (folder / "a_text.jpg").write_text("This is no picture.\n", encoding="utf-8")
    (dataset / "test" / "broken").mkdir(parents=True, exist_ok=True)
    (dataset / "test" / "broken" / "header_only.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(24))
    bomb = BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    (folder / "too_large.png").write_bytes(bomb.getvalue())
    (folder / "notes.txt").write_text("Not an image: skipped and counted.\n", encoding="utf-8")
    (folder / ".hidden.jpg").write_bytes(b"")
