"""What other tools get wrong (the list of faults in the field), one test or class for each, named
after the fault.
"""

import os
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import datasets
import imagehash
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

import dedup
from dedup.config import DatasetConfig
from dedup.formats import open_source, payloads
from tests import listing, pictures

BROKEN = b"\x89PNG\r\n\x1a\nbroken"
"""A file that begins as an image does, and is none."""


def ran(root: Path, **options: Any) -> dedup.Run:
    """An audit of a folder, in this process."""
    return dedup.audit(root, workers=0, **options)


def pairs_of(run: dedup.Run) -> set[tuple[str, str, str]]:
    return {(row["id_a"], row["id_b"], row["kind"]) for row in run.pairs.to_pylist()}


def folder(root: Path, images: Mapping[str, Image.Image | bytes]) -> Path:
    for name, image in images.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image if isinstance(image, bytes) else pictures.encoded(image))
    return root


def test_1_equality_of_sums_and_wrapping_mse(tmp_path: Path) -> None:
    """A picture with its pixels shuffled is no duplicate, nor are grey 100 and 116 (difPy)."""
    photo = np.asarray(pictures.photo(1))
    shuffled = np.random.default_rng(1).permutation(photo.reshape(-1, 3)).reshape(photo.shape)
    rows = np.random.default_rng(2).permutation(photo)
    images = {
        "photo.png": pictures.photo(1),
        "shuffled.png": Image.fromarray(shuffled),
        "rows.png": Image.fromarray(rows),
        "grey100.png": Image.new("L", (64, 64), 100),
        "grey116.png": Image.new("L", (64, 64), 116),
        "grey100_colour.png": Image.new("RGB", (64, 64), (100, 100, 100)),
    }

    assert {("grey100.png", "grey100_colour.png", "pixels")} == pairs_of(
        ran(folder(tmp_path, images))
    )


def test_2_unreadable_files_are_one_set_of_duplicates(tmp_path: Path) -> None:
    """Broken files with the same bytes, empty files and missing files are never pairs
    (cleanvision).
    """
    folder(
        tmp_path,
        {"train/a.png": BROKEN, "test/b.png": BROKEN, "train/c.png": b"", "test/d.png": b""},
    )
    (tmp_path / "rows.csv").write_text(
        "path,split\n"
        + "".join(
            f"{p},{p.split('/')[0]}\n"
            for p in ("train/a.png", "test/b.png", "train/c.png", "test/d.png")
        )
        + "train/gone.png,train\ntest/gone.png,test\n"
    )
    run = ran(tmp_path / "rows.csv")

    assert pairs_of(run) == set()
    assert len(run.leakage) == 0
    assert [
        "undecodable",
        "truncated",
        "missing",
        "undecodable",
        "truncated",
        "missing",
    ] == run.hashes["status"].to_pylist()


def test_2_a_pixel_digest_that_ignores_shape_mode_and_palette(tmp_path: Path) -> None:
    """The same bytes as 10×20 and 20×10, in three channels, or under another palette are other
    pictures.
    """
    values = np.random.default_rng(1).integers(0, 256, (20, 10), dtype=np.uint8)
    indices = np.random.default_rng(2).integers(0, 4, (30, 30), dtype=np.uint8)
    images: dict[str, Image.Image] = {
        "10x20.png": Image.fromarray(values),
        "20x10.png": Image.fromarray(values.reshape(10, 20)),
        "colour.png": Image.fromarray(np.concatenate([values, values, values]).reshape(20, 10, 3)),
    }
    for name, palette in (
        ("warm", [255, 0, 0, 255, 255, 0, 90, 0, 0, 0, 0, 0]),
        ("cold", [0, 0, 9, 0, 90, 90, 0, 255, 0, 9, 9, 255]),
    ):
        image = Image.new("P", (30, 30))
        image.putdata(indices.reshape(-1).tolist())
        image.putpalette(palette)
        images[f"{name}.png"] = image

    assert not [kind for _, _, kind in pairs_of(ran(folder(tmp_path, images))) if kind != "near"]


def test_3_near_means_equal_hashes(tmp_path: Path) -> None:
    """A copy whose code differs by two bits or more is found (cleanvision, Data-Juicer)."""
    photo = pictures.photo(3)
    copy = Image.open(
        folder(tmp_path, {"copy.jpg": pictures.encoded(photo.resize((80, 60)), "JPEG", quality=8)})
        / "copy.jpg"
    )
    distance = imagehash.phash(photo) - imagehash.phash(copy)
    assert distance >= 2, "the test's own copy must differ"
    pictures.save(photo, tmp_path / "photo.png")
    (row,) = ran(tmp_path, min_similarity=0.87).pairs.to_pylist()

    assert (row["id_a"], row["id_b"], row["kind"], row["distance_phash"]) == (
        "copy.jpg",
        "photo.png",
        "near",
        distance,
    )


def test_4_leaks_chained_through_a_kept_sample_vanish(tmp_path: Path) -> None:
    """A train sample that matches a test sample is a leak even if its better copy in train is kept
    and matches none.

    The chain is one photo that fades into another: its ends are too far apart, neighbours are not
    (FiftyOne).
    """
    shifted = [
        Image.blend(pictures.photo(5), pictures.photo(6), share) for share in (0.0, 0.2, 0.4)
    ]
    images = {
        "train/end.png": shifted[0],
        "train/middle.png": shifted[1],
        "test/other.png": shifted[2],
    }
    images["train/end.png"] = shifted[0].resize((320, 240))  # the best picture of the three
    root = folder(tmp_path / "data", images)
    free = ran(root, max_distance=64, min_similarity=0.0, second_look=False)
    similarity = {(row["id_a"], row["id_b"]): row["similarity"] for row in free.pairs.to_pylist()}
    far = similarity[("test/other.png", "train/end.png")]
    near = min(
        similarity[("test/other.png", "train/middle.png")],
        similarity[("train/end.png", "train/middle.png")],
    )
    assert far < near, "the test's own chain must be one"
    run = ran(root, max_distance=64, min_similarity=float((far + near) / 2), second_look=False)
    decided = {row["id"]: (row["action"], row["witness_id"]) for row in run.decisions.to_pylist()}

    assert {("train/middle.png", "test/other.png")} == {
        (row["id"], row["witness_id"]) for row in run.leakage.to_pylist()
    }
    assert decided == {
        "train/end.png": ("keep", None),
        "train/middle.png": ("drop", "test/other.png"),
        "test/other.png": ("keep", None),
    }


def test_5_digests_that_differ_between_processes(tmp_path: Path) -> None:
    """Identical files in the batches of two worker processes are found (FiftyOne under spawn)."""
    names = [f"{k:03d}.png" for k in range(70)]
    for k, name in enumerate(names):
        pictures.save(pictures.photo(k % 69, (40, 30)), tmp_path / name)
    run = dedup.audit(tmp_path, workers=2)

    assert ("000.png", "069.png", "bytes") in pairs_of(run)


class Test6:
    def test_a_keeper_by_order_of_arrival(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The better picture is kept whether its name sorts first or last and however the folder is
        listed.
        """
        large, small = (
            pictures.photo(1),
            pictures.photo(1).resize((80, 60), Image.Resampling.LANCZOS),
        )
        images = {
            "train/a.png": large,
            "train/b.png": small,
            "train/c.png": pictures.photo(2).resize((80, 60)),
        }
        root = folder(tmp_path / "data", {**images, "train/d.png": pictures.photo(2)})
        kept = {row["id"] for row in ran(root).decisions.to_pylist() if row["action"] == "keep"}
        monkeypatch.setattr(os, "scandir", listing.backwards(os.scandir))
        again = {row["id"] for row in ran(root).decisions.to_pylist() if row["action"] == "keep"}

        assert {"train/a.png", "train/d.png"} == kept == again

    def test_alpha_is_dropped(self, tmp_path: Path) -> None:
        """Two pictures with the same colours and another transparency are not the same."""
        first, second = (pictures.photo(1).convert("RGBA") for _ in range(2))
        first.putalpha(pictures.photo(2).convert("L"))
        second.putalpha(pictures.photo(3).convert("L"))

        assert pairs_of(ran(folder(tmp_path, {"a.png": first, "b.png": second}))) == set()

    def test_16_bits_are_truncated(self, tmp_path: Path) -> None:
        """A picture in 16 bits is the same picture in 8 bits, and its low bytes are not the
        picture.
        """
        grey = np.asarray(pictures.photo(1).convert("L")).astype(np.uint16)
        low = np.asarray(pictures.photo(2).convert("L")).astype(np.uint16)
        images = {
            "8.png": Image.fromarray(grey.astype(np.uint8)),
            "16.png": Image.fromarray(grey * 257),
            "low.png": Image.fromarray(grey * 256 + low),
            "other.png": Image.fromarray(low.astype(np.uint8)),
        }

        assert {("16.png", "8.png", "pixels"), ("16.png", "low.png", "near")} == pairs_of(
            ran(folder(tmp_path, images))
        )

    def test_unreadable_files_vanish(self, tmp_path: Path) -> None:
        """A file that cannot be read is a row with its status in hashes and decisions."""
        run = ran(folder(tmp_path, {"train/a.png": pictures.photo(1), "train/b.png": BROKEN}))

        assert ["ok", "undecodable"] == run.hashes["status"].to_pylist()
        assert ["keep", "unreadable"] == run.decisions["action"].to_pylist()


class Test7:
    def test_every_flat_image_is_equal(self, tmp_path: Path) -> None:
        """Flat pictures and bare gradients, equal in code, are no pairs unless their pixels are
        equal.
        """
        ramp = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))
        images = {
            f"flat{grey:03d}.png": Image.new("L", (64, 64), grey) for grey in range(0, 256, 51)
        }
        images |= {"ramp.png": Image.fromarray(ramp), "ramp_half.png": Image.fromarray(ramp // 2)}
        images["flat_again.bmp"] = Image.new("RGB", (64, 64), (51, 51, 51))

        assert {("flat051.png", "flat_again.bmp", "pixels")} == pairs_of(
            ran(folder(tmp_path, images))
        )

    def test_shapes_on_transparency_are_equal(self, tmp_path: Path) -> None:
        """A black circle and a black bar on transparency are two pictures."""
        images = {}
        for name in ("circle", "bar"):
            image = Image.new("RGBA", (100, 100), (0, 0, 0, 0))
            draw = ImageDraw.Draw(image)
            if name == "circle":
                draw.ellipse((20, 20, 80, 80), fill=(0, 0, 0, 255))
            else:
                draw.rectangle((5, 60, 95, 75), fill=(0, 0, 0, 255))
            images[f"{name}.png"] = image
        run = ran(folder(tmp_path, images))

        assert pairs_of(run) == set()
        assert min(run.hashes["information"].to_pylist()) > 1

    def test_16_bits_saturate(self, tmp_path: Path) -> None:
        """Two different 16-bit pictures are not both white."""
        images = {
            f"{seed}.png": Image.fromarray(
                np.asarray(pictures.photo(seed).convert("L")).astype(np.uint16) * 257
            )
            for seed in (1, 2)
        }
        run = ran(folder(tmp_path, images))

        assert pairs_of(run) == set()
        assert min(run.hashes["information"].to_pylist()) > 1

    def test_copies_rotated_by_exif_are_far_apart(self, tmp_path: Path) -> None:
        """A picture stored on its side with an EXIF orientation is the upright picture."""
        exif = Image.Exif()
        exif[0x0112] = 6
        sideways = pictures.photo(1).transpose(Image.Transpose.ROTATE_90)
        folder(
            tmp_path,
            {
                "upright.png": pictures.photo(1),
                "sideways.png": pictures.encoded(sideways, exif=exif),
            },
        )
        folder(tmp_path, {"really_sideways.png": sideways})

        assert {("sideways.png", "upright.png", "pixels")} == pairs_of(ran(tmp_path))


def test_8_identical_pictures_become_k_squared_pairs(tmp_path: Path) -> None:
    """k identical pictures are k - 1 pairs, one group, and images are counted once."""
    data = pictures.encoded(pictures.photo(1))
    run = ran(folder(tmp_path, {f"{k:02d}.png": data for k in range(30)}))

    assert len(run.pairs) == 29
    assert len(run.groups) == 30
    assert run.summary["pairs"]["images"] == 30


def test_9_threshold_zero_never_matches(tmp_path: Path) -> None:
    """A distance of 0 is inclusive: equal codes of other pixels match."""
    copy = pictures.encoded(pictures.photo(1), "JPEG", quality=97)
    root = folder(tmp_path, {"a.png": pictures.photo(1), "b.jpg": copy})

    assert {("a.png", "b.jpg", "near")} == pairs_of(ran(root, max_distance=0))


def test_9_only_the_first_partner_is_returned(tmp_path: Path) -> None:
    """A train picture with three copies in test has three rows, one for each."""
    photo = pictures.photo(1)
    images: dict[str, Image.Image | bytes] = {
        f"test/{quality}.jpg": pictures.encoded(photo, "JPEG", quality=quality)
        for quality in (50, 70, 90)
    }
    run = ran(folder(tmp_path, {**images, "train/a.png": photo}))

    assert ["test/50.jpg", "test/70.jpg", "test/90.jpg"] == run.leakage["witness_id"].to_pylist()
    assert run.summary["leakage"]["test"]["leaking"] == 3


def test_10_the_same_stem_in_two_folders_collides(tmp_path: Path) -> None:
    """Ids are paths: equal names in other folders, and equal stems with other endings, are other
    samples.
    """
    names = ["train/a/1.png", "train/b/1.png", "test/a/1.png", "train/a/1.bmp"]
    run = ran(pictures.folder(tmp_path, names))

    assert sorted(names) == run.manifest["id"].to_pylist()


def test_11_precision_and_recall_on_transformed_copies(tmp_path: Path) -> None:
    """At the defaults nearly every transformed copy is found and no other pair is."""
    edits: dict[str, Callable[[Image.Image], Image.Image]] = {
        "jpeg": lambda image: Image.open(BytesIO(pictures.encoded(image, "JPEG", quality=30))),
        "small": lambda image: image.resize((96, 72), Image.Resampling.LANCZOS),
        "bright": lambda image: ImageEnhance.Brightness(image).enhance(1.25),
        "grey": lambda image: image.convert("L"),
    }
    expected = set()
    for seed in range(25):
        pictures.save(pictures.photo(seed), tmp_path / f"{seed:02d}.png")
        for name, edit in edits.items():
            pictures.save(edit(pictures.photo(seed)), tmp_path / f"{seed:02d}_{name}.png")
            expected.add((f"{seed:02d}.png", f"{seed:02d}_{name}.png"))
    found = {(a, b) for a, b, _ in pairs_of(ran(tmp_path))}

    assert len(expected & found) / len(expected) >= 0.95
    assert {(a[:2], b[:2]) for a, b in found} <= {(f"{seed:02d}",) * 2 for seed in range(25)}


def test_12_filtered_datasets_are_encoded_again(tmp_path: Path) -> None:
    """A filtered Hugging Face dataset holds the stored bytes, PNG as PNG, and reads back
    (fastdup).
    """
    stored = [
        pictures.encoded(pictures.photo(1)),
        pictures.encoded(pictures.photo(2), "JPEG", quality=40),
    ]
    features = datasets.Features({"image": datasets.Image()})
    rows = {"image": [{"bytes": data, "path": None} for data in [*stored, stored[0]]]}
    made = datasets.DatasetDict({"train": datasets.Dataset.from_dict(rows, features=features)})
    clean, _ = dedup.deduplicate(made, workers=0, dir=str(tmp_path / "run"), report=False)
    raw = clean["train"].cast_column("image", datasets.Image(decode=False))

    assert stored == [row["image"]["bytes"] for row in raw]


@pytest.mark.parametrize("form", ["imagefolder", "manifest", "huggingface"])
def test_13_everything_in_memory(tmp_path: Path, form: str) -> None:
    """Bytes are read a batch at a time: no form gives more rows at once than asked for, and all of
    them in order.
    """
    names = [f"train/{k}.png" for k in range(7)]
    root = pictures.folder(tmp_path / "data", names)
    path = root
    if form == "manifest":
        path = root / "rows.csv"
        path.write_text("path\n" + "".join(f"{name}\n" for name in names))
    if form == "huggingface":
        path = tmp_path / "saved"
        rows = {"image": [{"bytes": (root / name).read_bytes(), "path": None} for name in names]}
        made = datasets.Dataset.from_dict(
            rows, features=datasets.Features({"image": datasets.Image()})
        )
        datasets.DatasetDict({"train": made}).save_to_disk(str(path))
    source = open_source(DatasetConfig(path=str(path)))
    batches = list(payloads(source, 3))

    assert source.form == form
    assert [3, 3, 1] == [batch.num_rows for batch in batches]
    assert list(range(7)) == [row for batch in batches for row in batch["row"].to_pylist()]


def test_14_the_test_set_shrinks(tmp_path: Path) -> None:
    """By default no held-out sample is dropped or moved, whatever leaks or repeats in it
    (leakaudit).
    """
    data = pictures.encoded(pictures.photo(1))
    names = ["train/a.png", "test/a.png", "test/b.png", "validation/a.png", "train/b.png"]
    root = folder(
        tmp_path / "data", {**dict.fromkeys(names, data), "train/c.png": pictures.photo(2)}
    )
    run = dedup.run(
        {
            "dataset": {"path": str(root)},
            "engine": {"workers": 0},
            "output": {"dir": str(tmp_path / "run")},
        }
    )
    written = {
        path.relative_to(tmp_path / "run/splits").as_posix()
        for path in (tmp_path / "run/splits").rglob("*.png")
    }

    assert {"test/a.png", "test/b.png", "validation/a.png", "train/c.png"} == written
    assert {"keep"} == {
        row["action"] for row in run.decisions.to_pylist() if not row["id"].startswith("train")
    }
