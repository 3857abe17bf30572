"""Values at the edge of what a type can hold, and files that only pretend not to have changed."""

import os
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import dedup
from dedup.config import build
from dedup.errors import ConfigError, DedupError, SourceError
from dedup.policy.keeping import _as_numbers
from dedup.search import join_hashes, largest_distance_within, pack
from tests import pictures


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.uint64, int])
def test_distances_of_every_integer_type(kind: Any) -> None:
    """127 bits as an 8-bit integer is the same distance as 127."""
    random = np.random.default_rng(1)
    codes = random.integers(0, 256, (40, 16), dtype=np.uint8)
    words, limit = pack(codes), cast("int", np.int16(2_000))

    assert dedup.find_pairs(codes, max_distance=127) == dedup.find_pairs(
        codes, max_distance=kind(127)
    )
    assert (
        join_hashes([words], max_distance=127).a.tolist()
        == join_hashes([words], max_distance=kind(127)).a.tolist()
    )
    assert dedup.find_pairs(codes, codes, max_distance=60, limit=2_000) == dedup.find_pairs(
        codes, codes, max_distance=kind(60), limit=limit
    )
    assert largest_distance_within(words, budget=100, cap=90) == largest_distance_within(
        words, budget=kind(100), cap=kind(90)
    )


def ranked(texts: Sequence[str | None]) -> list[str | None]:
    """The texts from the least worth to the most; those without a value last."""
    values = _as_numbers(pa.chunked_array([pa.array(texts, pa.string())]))
    return [texts[k] for k in np.argsort(values, kind="stable")]


def test_keep_by_compares_every_digit() -> None:
    """Above 2**53 two neighbours are the same as floats."""
    numbers = [2**53 + 1, 2**53, 2**63, 2**63 + 1, 10**400, 10**400 - 1, -(2**60), -(2**60) - 1]
    texts = [str(number) for number in numbers] + [
        "0.1",
        "0.10000000000000000001",
        "1e400",
        "-inf",
        "inf",
    ]
    expected = sorted(texts, key=Decimal)

    assert expected == ranked(texts)
    assert [*expected, "nan", None] == ranked(["nan", None, *texts])
    assert ["1e5", "9", "x"] == ranked(["x", "9", "1e5"])


def test_keep_by_keeps_the_larger_of_two_neighbours(tmp_path: Path) -> None:
    """In a whole run: of two copies the one with the larger number stays, though they are one
    float.
    """
    picture = pictures.photo(1)
    for name in ("a", "b", "c"):
        pictures.save(picture if name != "c" else pictures.photo(2), tmp_path / f"{name}.png")
    lines = ["path,worth", f"a.png,{2**53}", f"b.png,{2**53 + 1}", "c.png,0"]
    (tmp_path / "m.csv").write_text("\n".join(lines), encoding="utf-8")
    result = dedup.audit(
        tmp_path / "m.csv", duplicates="keep_by", keep_by="worth", dir=None, workers=1
    )
    actions = dict(
        zip(result.decisions["id"].to_pylist(), result.decisions["action"].to_pylist(), strict=True)
    )

    assert {"a.png": "drop", "b.png": "keep", "c.png": "keep"} == actions


ODD_IMAGES: dict[str, Any] = {
    "None": None,
    "a number": 7,
    "an array": np.zeros((8, 8, 3), np.uint8),
    "a list": [1, 2],
    "0 pixels": Image.new("RGB", (0, 8)),
    "no bytes": b"",
    "a file of 0 pixels": b"P6 0 0 255\n",
    "NUL": "a\0b.png",
    "a lone surrogate": "\ud800.png",
    "a name of 300 bytes": "n" * 300,
    "a folder": ".",
}


@pytest.mark.parametrize("mode", ["fast", "compat"])
@pytest.mark.parametrize("name", ODD_IMAGES)
def test_hash_images_says_which_image_is_none(name: str, mode: str) -> None:
    """What is not an image is an error of the package that names it, wherever it is in the list."""
    images = [pictures.encoded(pictures.photo(1)), ODD_IMAGES[name]]

    with pytest.raises(DedupError, match=r"images\[1\]|png|nnn|'\.'"):
        dedup.hash_images(images, algorithm="dhash", mode=mode)


def test_hash_images_of_a_picture_that_is_not_decoded_yet(tmp_path: Path) -> None:
    """A PIL image of a file that is cut short fails when its pixels are needed."""
    (tmp_path / "cut.png").write_bytes(pictures.encoded(pictures.photo(1))[:500])
    with (
        Image.open(tmp_path / "cut.png") as image,
        pytest.raises(SourceError, match=r"images\[0\]"),
    ):
        dedup.hash_images([image], algorithm="dhash")


def test_hash_images_of_bytes_in_any_holder() -> None:
    """bytes, bytearray and memoryview hold the same file."""
    data = pictures.encoded(pictures.photo(1))
    codes = dedup.hash_images([data, bytearray(data), memoryview(data)], algorithm="phash")

    assert 1 == len(np.unique(codes, axis=0))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((None, b""), "a: got NoneType"),
        ((b"", 5), "b: got int"),
        ((["a.png"], b""), "a: got list"),
        ((b"", b"", 7), "bits: got 7, allowed: 64, 256, 1024"),
        ((b"", b"", []), r"bits: got \[\]"),
        ((b"", b"", "64"), "bits: got '64'"),
    ],
)
def test_compare_names_its_forms(given: Any, message: str) -> None:
    """What is neither a path nor bytes, and widths that no code has, are bad requests."""
    a, b, *bits = given
    with pytest.raises(dedup.ConfigError, match=message):
        dedup.compare(a, b, bits=bits[0] if bits else 64)


@pytest.mark.parametrize("value", [[], {}, ["dhash"], {"dhash": 1}, None, 5, True])
def test_words_that_are_none(value: Any) -> None:
    """Values of every kind in the place of a word are bad requests, also those that no table can
    look up.
    """
    with pytest.raises(dedup.ConfigError, match=r"hash\.algorithms"):
        build({"hash": {"algorithms": ["phash", value]}})
    with pytest.raises(dedup.ConfigError, match=r"policy\.leakage"):
        build({"policy": {"leakage": value}})
    with pytest.raises(dedup.ConfigError, match="algorithm: got"):
        dedup.hash_images([], algorithm=value)


def test_hash_images_names_its_forms() -> None:
    """The remedy for an array is in the message."""
    with pytest.raises(ConfigError, match=r"images\[0\]: got ndarray; .*fromarray"):
        dedup.hash_images([np.zeros((4, 4))], algorithm="dhash")


def changed_in_place(path: Path, data: bytes, before: os.stat_result) -> None:
    """Other bytes of the same size in the same inode, with the old time."""
    assert len(data) == before.st_size
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_file_with_other_bytes_and_its_old_size_and_time(tmp_path: Path) -> None:
    """The second run sees it, as no program can set the time at which an inode changed."""
    names = ["train/a.bmp", "train/b.bmp", "test/c.bmp"]
    root = pictures.folder(tmp_path / "data", names)
    old = time.time() - 3_600
    for name in names:
        os.utime(root / name, (old, old))
    path, digests = root / "train/b.bmp", []
    for out in ("first", "second"):
        output = {"dir": str(tmp_path / out), "files": "copy"}
        dedup.run({"dataset": {"path": str(root)}, "output": output, "engine": {"workers": 1}})
        digests.append(pq.read_table(tmp_path / out / "hashes.parquet")["file_digest"].to_pylist())
        if out == "first":
            changed_in_place(path, pictures.encoded(pictures.photo(9), "BMP"), path.stat())

    assert 1 == [a == b for a, b in zip(*digests, strict=True)].count(False)
    assert path.read_bytes() == (tmp_path / "second/splits/train/b.bmp").read_bytes()


def test_a_clock_that_was_set_back(tmp_path: Path) -> None:
    """A file from the future is read again by every run: nothing says that it does not change any
    more.
    """
    root = pictures.folder(tmp_path / "data", ["a.bmp", "b.bmp"])
    future = time.time() + 86_400
    for path in root.iterdir():
        os.utime(path, (future, future))
    before = dedup.audit(root, dir=None, workers=1).tables["hashes"]["pixel_digest"].to_pylist()
    path = root / "b.bmp"
    path.write_bytes(pictures.encoded(pictures.photo(9), "BMP"))
    os.utime(path, (future, future))
    after = dedup.audit(root, dir=None, workers=1).tables["hashes"]["pixel_digest"].to_pylist()

    assert [True, False] == [a == b for a, b in zip(before, after, strict=True)]


@pytest.mark.parametrize(
    "name", ["=1+1.png", "+x.png", "-x.png", "@SUM(1).png", "'=x.png", "plain.png", "'plain.png"]
)
def test_ids_that_a_spreadsheet_would_run(tmp_path: Path, name: str) -> None:
    """The report guards them with an apostrophe; with it and, where that is no guard, without it, a
    list names them.
    """
    root = pictures.folder(tmp_path / "data", [name, "other.png"])
    guarded = f"'{name}" if name.lstrip("'")[0] in "=+-@" else name
    written = [guarded] if name.startswith("'=") else [guarded, name]
    for text in written:
        (tmp_path / "list.csv").write_text(f"id_a,id_b\n{text},other.png\n", encoding="utf-8")
        result = dedup.audit(root, duplicates_list=str(tmp_path / "list.csv"), dir=None, workers=0)

        assert [{name, "other.png"}] == [
            {row["id_a"], row["id_b"]} for row in result.pairs.to_pylist()
        ]


BOMBS = ("webp", "tiff", "tiff tile", "gif", "avif", "png")


def bomb(name: str) -> bytes:
    """A small file that says it is a picture of hundreds of millions of pixels."""
    side = 30_000
    if name == "webp":
        return pictures.encoded(Image.new("RGB", (16_383, 16_383)), "WEBP", lossless=True, method=0)
    if name == "gif":
        return (
            b"GIF89a"
            + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0)
            + pictures.encoded(Image.new("P", (1, 1)), "GIF")[13:]
        )
    if name == "avif":
        data = pictures.encoded(Image.new("RGB", (64, 64)), "AVIF")
        return data.replace(struct.pack(">II", 64, 64), struct.pack(">II", side, side))
    if name == "png":
        header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        rows = zlib.compress(bytes(1 << 24))
        chunks = [header, b"IDAT" + rows, b"IEND"]
        sums = (
            struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks
        )
        return b"\x89PNG\r\n\x1a\n" + b"".join(sums)
    width, height = (16, 16) if name == "tiff tile" else (side, side)
    tags: list[tuple[int, int, int]] = [
        (256, 4, width),
        (257, 4, height),
        (258, 3, 8),
        (259, 3, 8),
        (262, 3, 1),
    ]
    if name == "tiff tile":
        tags += [(277, 3, 1), (322, 4, 32_768), (323, 4, 32_768), (324, 4, 300), (325, 4, 20_000)]
    else:
        tags += [(273, 4, 300), (277, 3, 1), (278, 4, height), (279, 4, 20_000)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    return head.ljust(300, b"\0") + zlib.compress(bytes(1 << 24))


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="memory is measured as Linux tells it"
)
@pytest.mark.parametrize("name", BOMBS)
def test_pictures_that_say_they_are_huge(name: str) -> None:
    """They have a status, and cost no memory worth speaking of."""
    code = (
        "import resource, sys; from dedup.decoding.pictures import open_picture\ndata ="
        " sys.stdin.buffer.read()\nbefore ="
        " resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\nfound = open_picture(data,"
        " max_pixels=100_000_000)\nprint(getattr(found, 'status', 'ok'),"
        " resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    data = bomb(name)
    done = subprocess.run(
        [sys.executable, "-c", code], input=data, capture_output=True, check=True, timeout=120
    )
    status, n_kilobytes = done.stdout.split()

    assert status.decode() in {"too_large", "undecodable", "truncated", "unsupported"}
    assert int(n_kilobytes) < 300_000
