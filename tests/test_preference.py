"""Which of two copies is the better picture: more detail, not more pixels."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

import dedup
from dedup import pipeline, tables
from dedup.hashers.close_views import close_view
from dedup.hashers.quality import Qualities, Quality, quality
from dedup.verify.preference import better, preferred
from tests import pictures


def scene(seed: int, size: tuple[int, int] = (480, 360)) -> Image.Image:
    """A picture with detail at every scale, as photos have: octaves of noise, each as strong as the
    next.
    """
    random = np.random.default_rng(seed)
    total = np.zeros((size[1], size[0], 3))
    cells = 2
    while cells < max(size):
        noise = random.normal(0, 1, (cells, cells, 3))
        layers = [
            Image.fromarray(noise[..., k].astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
            for k in range(3)
        ]
        total += np.stack([np.asarray(layer) for layer in layers], axis=-1)
        cells *= 2
    return Image.fromarray((128 + 22 * total).clip(0, 255).astype(np.uint8))


def stored(image: Image.Image, quality: int = 95) -> Image.Image:
    """After a way through a JPEG."""
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=quality)
    opened = Image.open(sink)
    opened.load()
    return opened


def stamped(image: Image.Image) -> Image.Image:
    """With a box and letters of light lines."""
    marked = image.copy()
    draw = ImageDraw.Draw(marked)
    for line in range(8):
        draw.line([(60 + 14 * line, 80), (60 + 14 * line, 130)], fill="white", width=5)
    draw.rectangle([40, 60, 200, 150], outline="white", width=4)
    return marked


def bordered(image: Image.Image) -> Image.Image:
    """In a black frame."""
    frame = Image.new("RGB", (image.width + 50, image.height + 50))
    frame.paste(image, (25, 25))
    return frame


EDITS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "blurred enlargement": (
        lambda i: i.resize((i.width // 3, i.height // 3)).resize((2 * i.width, 2 * i.height))
    ),
    "enlargement": lambda i: i.resize((2 * i.width, 2 * i.height), Image.Resampling.BICUBIC),
    "half size": lambda i: i.resize((i.width // 2, i.height // 2)),
    "grey": lambda i: i.convert("L"),
    "stamp": stamped,
    "frame": bordered,
    "sharpened": lambda i: i.filter(ImageFilter.UnsharpMask(2, 100, 2)),
    "blurred": lambda i: i.filter(ImageFilter.GaussianBlur(2)),
}


def compared(one: Image.Image, two: Image.Image, transform: int = 0) -> int:
    """What `better` says of two pictures."""
    greys = close_view(one).grey, close_view(two).grey
    return better(quality(one), quality(two), greys, transform, 0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("edit", EDITS)
def test_the_original_is_the_better_one(edit: str, seed: int) -> None:
    """Whichever of the two comes first."""
    original = pictures.photo(seed, (480, 360)) if edit == "stamp" else scene(seed)
    copy = stored(EDITS[edit](original))

    assert 1 == compared(original, copy)
    assert -1 == compared(copy, original)


@pytest.mark.parametrize("seed", range(3))
def test_little_colour_is_more_than_none(seed: int) -> None:
    """A faded photo is better than its grey copy, and two grey ones are equal."""
    photo = scene(seed)
    faded = Image.blend(photo.convert("L").convert("RGB"), photo, 0.03)

    assert 0.4 < quality(faded).colour < 1.0
    assert 1 == compared(faded, stored(faded.convert("L")))
    assert -1 == compared(faded.convert("L"), faded)
    assert 0 == compared(photo.convert("L"), stored(photo.convert("L")))


@pytest.mark.parametrize("margin", [40])
def test_a_stamp_on_a_picture_with_a_margin(margin: int) -> None:
    """Pictures whose margins are equal are looked at as others are; where they are not, what is in
    a cell may be another part.
    """
    photo = pictures.photo(2, (480, 360))

    def framed(image: Image.Image, width: int) -> Image.Image:
        whole = Image.new("RGB", (480 + 120, 360 + 120), "white")
        inner = image.resize((600 - 2 * width, 480 - 2 * width))
        whole.paste(inner, (width, width))
        return whole

    one, two = framed(photo, 40), framed(stamped(photo), margin)
    greys = close_view(one).grey, close_view(two).grey
    expected = 1 if margin == 40 else 0

    assert expected == better(quality(one), quality(two), greys, 0, tables.BOTH)
    assert -expected == better(quality(two), quality(one), greys[::-1], 0, tables.BOTH)


@pytest.mark.parametrize("seed", range(3))
def test_nothing_speaks_for_either(seed: int) -> None:
    """A copy that was only saved again is no better and no worse."""
    assert 0 == compared(scene(seed), stored(scene(seed)))


@pytest.mark.parametrize("number", range(8))
def test_a_turned_copy(number: int) -> None:
    """A stamp is found in a copy that lies in another orientation; `transform` turns the second."""
    plain = pictures.photo(5, (480, 480))
    original = stamped(plain)
    undo = {5: 7, 7: 5}.get(number, number)
    method = {
        "mirror": Image.Transpose.FLIP_LEFT_RIGHT,
        "flip": Image.Transpose.FLIP_TOP_BOTTOM,
        "rotate180": Image.Transpose.ROTATE_180,
        "transpose": Image.Transpose.TRANSPOSE,
        "rotate90": Image.Transpose.ROTATE_90,
        "transverse": Image.Transpose.TRANSVERSE,
        "rotate270": Image.Transpose.ROTATE_270,
    }.get(tables.TRANSFORMS[undo])
    turned = plain if method is None else plain.transpose(method)

    assert -1 == compared(original, turned, number)


def test_the_way_from_a_worker() -> None:
    """Nothing is lost."""
    one = quality(scene(1))
    two = Qualities.from_bytes([one.to_bytes()])

    assert (one.side, one.energy.tolist()) == (two.side[0], two.energy[0].tolist())
    assert [*one.slopes, one.colour, one.blocks] == pytest.approx(
        [*two.slopes[0], two.colour[0], two.blocks[0]], rel=1e-6
    )


@pytest.mark.parametrize("edit", ["blurred enlargement", "half size", "grey", "frame", "sharpened"])
def test_a_run_keeps_the_original(tmp_path: Path, edit: str) -> None:
    """Under names that put the copy first; `pairs` names the better one, and `decide` knows it
    without the pictures.
    """
    for seed in range(3):
        scene(seed).save(tmp_path / f"{seed}b.jpg", quality=90)
        stored(EDITS[edit](scene(seed))).save(tmp_path / f"{seed}a.jpg", quality=95)
    config = {
        "dataset": {"path": str(tmp_path)},
        "output": {"dir": str(tmp_path.parent / f"{tmp_path.name} out"), "splits": "none"},
        "engine": {"workers": 0},
    }
    run = dedup.run(config)
    kept = run.decisions["id"].filter(pa_equal(run, "keep")).to_pylist()
    folder = Path(config["output"]["dir"])  # type: ignore[index]
    decided = pipeline.decide(folder, ["policy.duplicates=keep_first"])

    assert ["0b.jpg", "1b.jpg", "2b.jpg"] == kept
    assert ["b"] * 3 == run.pairs["better"].to_pylist()
    assert ["0a.jpg", "1a.jpg", "2a.jpg"] == decided.decisions["id"].filter(
        pa_equal(decided, "keep")
    ).to_pylist()


def pa_equal(run: dedup.Run, action: str) -> object:
    """Which samples have this action."""
    import pyarrow.compute as pc

    return pc.equal(run.decisions["action"], action)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 7), (8, 8)])
def test_a_picture_of_a_few_pixels_has_a_quality(size: tuple[int, int]) -> None:
    """The smallest pictures of a dataset are seen closely as well, and end no run."""
    assert quality(Image.new("RGB", size, (9, 90, 200))).to_bytes()


def looks(energy: np.ndarray, slopes: tuple[float, float] = (0.0, 0.0)) -> Quality:
    """What is seen of a picture of 480 pixels whose blocks have this energy in three bands."""
    bands = np.zeros((8, 8, 5), np.float32)
    bands[..., :3] = energy[..., None]
    return Quality(480, bands, slopes, 20.0, 0.0)


def greys(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two equal pictures at 128 × 128."""
    random = np.random.default_rng(seed)
    cells = np.repeat(np.repeat(random.integers(60, 180, (16, 16)), 8, axis=0), 8, axis=1)
    plain = (cells + random.integers(0, 20, (128, 128))).astype(np.uint8)
    return plain, plain.copy()


def blocks(seed: int) -> np.ndarray:
    """Energies of 8 × 8 blocks, in grey levels."""
    return np.random.default_rng(seed).uniform(4, 12, (8, 8))


@pytest.mark.parametrize("slope", [0.0, -0.2])
def test_detail_in_one_block_is_a_stamp(slope: float) -> None:
    """Letters on white change no mean, large ones look like blur; that all other blocks stay the
    same tells them.
    """
    stamp = blocks(1)
    stamp[5, 2] *= 1.5
    plain, stamped = looks(blocks(1)), looks(stamp, (slope, slope))

    assert 1 == better(plain, stamped, greys(1), 0, 0)
    assert -1 == better(stamped, plain, greys(1), 0, 0)


def test_a_stamp_over_detail_is_not_told() -> None:
    """Blocks that gain and lose alike say nothing; nor does what is spread over all of them, as
    JPEG's loss is.
    """
    both, spread = blocks(2), blocks(2) * 2 ** np.random.default_rng(3).normal(0, 0.15, (8, 8))
    both[1, 1], both[6, 6] = both[1, 1] * 1.5, both[6, 6] / 1.5

    assert 0 == better(looks(blocks(2)), looks(both), greys(2), 0, 0)
    assert 0 == better(looks(blocks(2)), looks(spread), greys(2), 0, 0)


def test_blur_is_no_stamp() -> None:
    """Where all blocks changed it was a filter, though the means of a few cells differ as under a
    stamp.
    """
    sharp, soft = greys(4)
    sharp[40:56, 40:72] = np.random.default_rng(5).choice([0, 255], (16, 32), p=[0.3, 0.7])
    blurred = looks(blocks(4) / 4, (-1.2, -0.9))

    assert 1 == better(looks(blocks(4)), blurred, (sharp, soft), 0, 0)
    assert -1 == better(blurred, looks(blocks(4)), (soft, sharp), 0, 0)


def test_many_pairs_at_once_are_each_judged_alone() -> None:
    """In every orientation, with and without a view, in any order: a pair's verdict is its own."""
    images = [scene(seed, (240, 200)) for seed in range(3)]
    images += [stored(EDITS[edit](images[k % 3])) for k, edit in enumerate(EDITS)]
    random = np.random.default_rng(7)
    one, two = random.integers(0, len(images), (2, 80))
    turns, views = random.integers(0, 8, 80).astype(np.uint8), random.integers(0, 4, 80)
    qualities = [quality(image) for image in images]
    small = np.stack([close_view(image).grey for image in images])

    alone = [
        better(qualities[a], qualities[b], (small[a], small[b]), int(turn), int(view))
        for a, b, turn, view in zip(one, two, turns, views, strict=True)
    ]
    together = preferred(
        Qualities.from_bytes([each.to_bytes() for each in qualities]),
        (one, two),
        small,
        (one, two),
        turns,
        views.astype(np.uint8),
    )

    assert {-1, 0, 1} == set(alone)
    assert alone == together.tolist()


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("level", [20, 40, 50])
def test_blocks_are_no_detail(level: int, side: int) -> None:
    """Of a smooth picture and its copy in strongly compressed JPEG the smooth one is better."""
    smooth = pictures.photo(1)
    copy = stored(smooth, quality=level)
    both = [smooth, copy] if side == 0 else [copy, smooth]
    greys = [np.asarray(image.convert("L").resize((128, 128))) for image in both]
    got = better(quality(both[0]), quality(both[1]), (greys[0], greys[1]), 0, 0)

    assert (1 if side == 0 else -1) == got


def test_a_picture_too_small_for_blocks() -> None:
    """Blocks are told where there are two edges of them, and not where there are none."""
    assert quality(pictures.photo(1, (23, 40))).blocks == 0
    assert quality(pictures.photo(1, (24, 24))).blocks != 0
