"""What the search of parts finds: `python -m benchmarks.parts [--photos FOLDER] [--part …] [-n N]`.

- `known`: the crops and same-source pairs that are listed for the photos, and the other pairs of
  kind `crop`, to be looked at.
- `edits`: for n photos, crops to 50 and 25 % of the area, a screenshot of a post, the picture
  turned by 15 and by 90 degrees, and pasted at half width into another one. The settings were
  chosen on the first 100 photos of the shuffled list; these are others.
- `negatives`: the drawings of `benchmarks.negatives`, and pages of text: no pair should be a crop.

Each part is one run with defaults and `search.parts: on`; times are those of the run's own stages.
"""

import argparse
import csv
import io
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from dedup import pipeline
from dedup.config import build

CHOSEN_ON = 100  # photos of the shuffled list that the settings were chosen on
SEED = 5


def searched(folder: Path) -> Any:
    """A run over a folder of pictures."""
    settings = {
        "dataset": {"path": str(folder), "top_folders": "labels"},
        "search": {"parts": "on"},
        "cache": {"folder": None},
        "output": {"dir": None, "report": False},
    }
    return pipeline.run(build(settings))


def seconds(run: Any) -> str:
    """The stages of parts, with their seconds."""
    told = {stage["stage"]: stage["seconds"] for stage in run.info["stages"]}
    return ", ".join(f"{name} {told[name]:.1f} s" for name in ("parts", "placements"))


def known(photos: Path) -> None:
    """The listed pairs."""
    with (photos / "pairs.csv").open(encoding="utf-8") as file:
        kind_of = {frozenset((row["a"], row["b"])): row["kind"] for row in csv.DictReader(file)}
    run = searched(photos / "images")
    found = {frozenset((row["id_a"], row["id_b"])): row for row in run.pairs.to_pylist()}

    total, hit = (
        Counter(kind_of.values()),
        Counter(kind_of[pair] for pair in found if pair in kind_of),
    )
    print(f"known pairs of {len(run.manifest):,} photos ({seconds(run)})")
    for kind in ("crop", "same-source", "mirror", "graphic-variant", "unsure"):
        print(f"  {kind:16} {hit[kind]:4} of {total[kind]}")

    others = [row for pair, row in found.items() if row["kind"] == "crop" and pair not in kind_of]
    print(f"  outside the list {len(others)} crops:")
    for row in sorted(others, key=lambda row: (row["id_a"], row["id_b"])):
        close, doubt = row["close_similarity"], row["false_probability"]
        print(f"    {row['id_a']}  {row['id_b']}  {close:.3f} seen closely, doubt {doubt:.3f}")


def as_jpeg(image: Image.Image) -> Image.Image:
    """The picture after a JPEG of quality 80."""
    stored = io.BytesIO()
    image.convert("RGB").save(stored, "JPEG", quality=80)
    return Image.open(stored).convert("RGB")


def cropped(image: Image.Image, area: float, rng: random.Random) -> Image.Image:
    """A crop of that share of the area, somewhere."""
    width, height = (int(side * area**0.5) for side in image.size)
    left, top = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


def posted(image: Image.Image, rng: random.Random) -> Image.Image:
    """A screenshot of a post with the picture in it."""
    page = Image.new("RGB", (image.width + 80, int(image.height * 1.6) + 60), (245, 246, 248))
    page.paste(image, (40, 90))
    draw = ImageDraw.Draw(page)
    draw.text((45, 20), f"Name {rng.randint(1, 999)} · {rng.randint(1, 23)} h", fill=(20, 20, 20))
    for line in range(6):
        text = " ".join(rng.choice(WORDS) for _ in range(6))
        draw.text((45, image.height + 110 + 18 * line), text, fill=(20, 20, 20))
    return page


WORDS = ("river", "seven", "about", "light", "often", "green", "paper", "round", "early", "music")


def pasted(image: Image.Image, other: Image.Image, rng: random.Random) -> Image.Image:
    """The picture at half the width of another one, somewhere in it."""
    width = other.width // 2
    small = image.resize(
        (width, max(1, image.height * width // image.width)), Image.Resampling.LANCZOS
    )
    page = other.resize((other.width, max(other.height, small.height + 20)))
    page.paste(
        small, (rng.randint(0, page.width - width), rng.randint(0, page.height - small.height))
    )
    return page


def edits_of(
    image: Image.Image, other: Image.Image, rng: random.Random
) -> Iterator[tuple[str, Image.Image]]:
    """The altered pictures by name."""
    yield "crop to 50 %", cropped(image, 0.5, rng)
    yield "crop to 25 %", cropped(image, 0.25, rng)
    yield "screenshot of a post", posted(image, rng)
    yield "turned by 15°", image.rotate(15, Image.Resampling.BICUBIC, expand=True)
    yield "turned by 90°", image.rotate(90, expand=True)
    yield "pasted at half width", pasted(image, other, rng)


def edits(photos: Path, n: int) -> None:
    """Altered pictures of photos that the settings were not chosen on."""
    rng = random.Random(SEED)
    names = sorted(
        str(path.relative_to(photos / "images")) for path in (photos / "images").rglob("*.jpg")
    )
    rng.shuffle(names)
    chosen = names[CHOSEN_ON : CHOSEN_ON + n]

    with tempfile.TemporaryDirectory() as scratch:
        folder, edit_of = Path(scratch), {}
        for number, name in enumerate(chosen):
            image = Image.open(photos / "images" / name).convert("RGB")
            other = Image.open(photos / "images" / rng.choice(names[CHOSEN_ON + n :])).convert(
                "RGB"
            )
            image.save(folder / f"{number:04}.png")
            for edit, altered in edits_of(image, other, rng):
                path = folder / f"{number:04} {edit.replace('%', 'percent')}.png"
                as_jpeg(altered).save(path)
                edit_of[path.name] = (f"{number:04}.png", edit)
        run = searched(folder)

    rows = [*run.pairs.to_pylist(), *run.tables["overlaps"].to_pylist()]
    found = {frozenset((row["id_a"], row["id_b"])) for row in rows}
    hit = Counter(
        edit for name, (original, edit) in edit_of.items() if frozenset((name, original)) in found
    )
    print(f"{n} photos, altered: original found, as a pair or an overlap ({seconds(run)})")
    for edit in dict.fromkeys(edit for _, edit in edit_of.values()):
        print(f"  {edit:22} {hit[edit]:4} of {n} ({100 * hit[edit] / n:.1f} %)")

    strangers = [
        row for row in rows if row["id_a"][:4] != row["id_b"][:4] and row["kind"] == "crop"
    ]
    print(
        f"  crops between different photos: {len(strangers)} (the photos hold copies of their own)"
    )


def negatives() -> None:
    """Drawings of different things, and pages of text."""
    from benchmarks.negatives import drawn

    rng = random.Random(SEED)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for kind, number, image in drawn(60):
            image.convert("RGB").save(folder / f"{kind.replace(' ', '_')}_{number:03}.png")
        for number in range(400):
            page = Image.new("RGB", (420, 594), "white")
            for line in range(34):
                text = " ".join(rng.choice(WORDS) for _ in range(9))
                ImageDraw.Draw(page).text((30, 30 + 16 * line), text, fill="black")
            page.save(folder / f"page_{number:03}.png")
        run = searched(folder)

    crops = [row for row in run.pairs.to_pylist() if row["kind"] == "crop"]
    print(f"{len(run.manifest):,} drawings and pages of text: {len(crops)} crops ({seconds(run)})")
    for row in crops[:20]:
        print(f"    {row['id_a']}  {row['id_b']}")


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, default=Path("../shared/data/caltech101"))
    parser.add_argument("--part", choices=("known", "edits", "negatives"), action="append")
    parser.add_argument("-n", type=int, default=300)
    arguments = parser.parse_args()

    for part in arguments.part or ("known", "edits", "negatives"):
        if part == "negatives":
            negatives()
        elif not arguments.photos.is_dir():
            print(f"{part}: there are no photos at {arguments.photos}; name them with --photos.")
        elif part == "known":
            known(arguments.photos)
        else:
            edits(arguments.photos, arguments.n)


if __name__ == "__main__":
    main()
