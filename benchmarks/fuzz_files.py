"""Mutated files, and what may come of each: a row with a status or an error of the package, never
anything else.

Run as a process of its own by `benchmarks.fuzz`: a crash costs it one batch. What Pillow itself
says of PNG and JPEG is asked here without the package, as an oracle.
"""

import argparse
import hashlib
import io
import json
import random
import resource
import signal
import struct
import tarfile
import tempfile
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageOps

from dedup.config import DatasetConfig, load
from dedup.decoding.contents import Reader
from dedup.errors import DedupError
from dedup.formats import open_source
from dedup.formats.source import payloads
from dedup.hashers.measure import measure
from dedup.hashers.setup import Setup

KINDS: Final = ("png", "jpeg", "tar", "parquet", "yaml", "json")

_MAX_SECONDS: Final = 20
"""Of work on one file of a few kilobytes, which takes milliseconds; not counting what other
processes take meanwhile. What waits without working is ended with its batch."""

_MAX_PIXELS: Final = 4_000_000
_FARTHEST: Final = 12.0
"""Grey levels between two thumbnails of one picture, on average: one may come from a JPEG decoded
at a fraction of its size. Pictures of different files are some 40 apart."""

Case = tuple[str, bytes]  # the name of what is mutated, and the mutated bytes


class Hang(Exception):  # noqa: N818  # it is told as it is named
    """A file took too long."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--at", type=Path, help="file that always holds the number under way")
    options = parser.parse_args()
    outcomes: Counter[str] = Counter()
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        check = CHECKS[options.kind](Path(folder))
        for number in range(options.first, options.first + options.count):
            if options.at is not None:
                options.at.write_text(str(number), encoding="ascii")
            chance = random.Random(f"{options.seed} {options.kind} {number}")  # not a secret
            outcome = _judged(check, chance)
            if outcome.startswith("FAULT"):
                faults.append(f"{options.kind} {number}: {outcome}")
            outcomes[outcome.split(":")[0]] += 1
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"outcomes": outcomes, "faults": faults, "peak": peak}))


def _judged(check: Callable[[random.Random], str], chance: random.Random) -> str:
    """How one file ended."""
    try:
        with _alarm(_MAX_SECONDS):
            return check(chance)
    except DedupError as error:
        return f"refused:{type(error).__name__}"
    except Hang:
        return f"FAULT hang: more than {_MAX_SECONDS} s"
    except Exception as error:  # noqa: BLE001  # finding these is what this is for
        return f"FAULT {type(error).__name__}: {' '.join(str(error).split())[:300]}"


@contextmanager
def _alarm(seconds: int) -> Iterator[None]:
    def ring(_number: int, _frame: Any) -> None:
        raise Hang

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The bytes with one to six changes: bytes flipped, set, cut out, doubled, moved, or the end
    cut off.
    """
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        if not changed:
            break
        at = chance.randrange(min(len(changed), chance.choice((64, 512, len(changed)))))
        length = chance.choice((1, 1, 2, 4, 16, 200))
        part = bytes(changed[at : at + length])
        match chance.randrange(7):
            case 0:
                changed[at] ^= 1 << chance.randrange(8)
            case 1:
                changed[at : at + length] = bytes(
                    chance.choice((0, 255, 0x80, chance.randrange(256))) for _ in part
                )
            case 2:
                del changed[at : at + length]
            case 3:
                changed[at:at] = part * chance.choice((1, 2, 9))
            case 4:
                changed[at:at] = chance.randbytes(length)
            case 5:
                other = chance.randrange(len(changed))
                changed[other : other + len(part)] = part
            case _:
                if chance.random() < 0.3:
                    del changed[at:]
                else:
                    changed[at] = (changed[at] + chance.choice((-1, 1))) % 256
    return bytes(changed)


def photo(seed: int, size: tuple[int, int]) -> Image.Image:
    """A made-up picture with structure."""
    cells = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    """The bytes of a file."""
    sink = io.BytesIO()
    image.save(sink, form, **options)
    return sink.getvalue()


# PNG and JPEG


def _pngs() -> list[bytes]:
    small = photo(1, (32, 24))
    info = {"gamma": 0.45}
    return [
        encoded(small, "PNG"),
        encoded(small.convert("L"), "PNG"),
        encoded(photo(2, (300, 200)), "PNG"),
        encoded(small.convert("P"), "PNG"),
        encoded(small.convert("RGBA"), "PNG"),
        encoded(small.convert("1"), "PNG"),
        encoded(Image.fromarray(np.arange(768, dtype=np.uint16).reshape(24, 32) * 80), "PNG"),
        encoded(
            small,
            "PNG",
            dpi=(72, 72),
            icc_profile=b"not one",
            exif=b"Exif\0\0II*\0\x08\0\0\0\0\0",
            **info,
        ),
        encoded(small, "PNG", save_all=True, append_images=[photo(3, (32, 24))]),
    ]


def _jpegs() -> list[bytes]:
    exif = Image.Exif()
    exif[0x0112] = 6
    large, small = photo(4, (400, 300)), photo(5, (48, 40))
    return [
        encoded(small, "JPEG"),
        encoded(small, "JPEG", progressive=True),
        encoded(small.convert("L"), "JPEG"),
        encoded(small.convert("CMYK"), "JPEG"),
        encoded(large, "JPEG", quality=60, exif=exif),
        encoded(
            small,
            "JPEG",
            exif=exif,
            comment=b"made",
            icc_profile=b"not one",
            xmp=b'tiff:Orientation="3"',
        ),
        encoded(small, "JPEG", keep_rgb=True),
        encoded(small, "JPEG", subsampling=0, restart_marker_blocks=2),
        encoded(small, "MPO", save_all=True, append_images=[photo(6, (48, 40))]),
    ]


def _right_checksums(data: bytes) -> bytes:
    """A PNG whose chunks say the right checksum, as far as there are chunks."""
    out, at = bytearray(data[:8]), 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        stop = at + 8 + length
        if stop + 4 > len(data):
            break
        out += data[at:stop] + struct.pack(">I", zlib.crc32(data[at + 4 : stop]))
        at = stop + 4
    return bytes(out + data[at:])


def _picture(
    files: list[bytes], *, checksums: bool
) -> Callable[[Path], Callable[[random.Random], str]]:
    setups = [Setup(("dhash",), 64, mode, "#ffffff", _MAX_PIXELS) for mode in ("fast", "compat")]
    pixels: dict[tuple[str, bytes], bytes] = {}  # what Pillow decodes, by mode and digest

    def check(chance: random.Random) -> str:
        data = mutated(chance.choice(files), chance)
        if checksums and chance.random() < 0.6:
            data = _right_checksums(data)
        expected = _by_pillow(data)
        rows = [
            {name: column[0].as_py() for name, column in measure([data], setup).items()}
            for setup in setups
        ]
        if expected is not None and not _keeps_pixels_apart(data, setups, rows, pixels):
            return "FAULT digest: that of a picture with other pixels"
        outcome = _compared(expected, rows[0], rows[1])
        if outcome.startswith("FAULT pixels") and (luma := _luma_by_pillow(data)) is not None:
            by_luma = _compared(luma, rows[0], rows[1])
            return "ok by its own luma" if by_luma == "ok" else by_luma
        return outcome

    return lambda _folder: check


def _keeps_pixels_apart(
    data: bytes,
    setups: list[Setup],
    rows: list[dict[str, Any]],
    known: dict[tuple[str, bytes], bytes],
) -> bool:
    """Whether files with one digest of pixels are one picture to Pillow."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data)) as opened:
            opened.load()
            seen = _upright(opened).convert("RGBA")
    pixels = repr(seen.size).encode() + hashlib.sha256(seen.tobytes()).digest()

    for setup, row in zip(setups, rows, strict=True):
        is_one = row["status"] == "ok" and row["n_frames"] == 1
        if is_one and known.setdefault((setup.mode, row["pixel_digest"]), pixels) != pixels:
            return False

    return True


def _by_pillow(data: bytes) -> Image.Image | None:
    """The picture as Pillow decodes it, upright and grey; None where it refuses the file or it is
    too large.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data)) as opened:
                # JPEGs are decoded at an eighth of their size, so they may be larger.
                most = _MAX_PIXELS * (8 if opened.format == "JPEG" else 1)
                if opened.width * opened.height > most:
                    return None
                opened.load()
                upright = _upright(opened)
                if 0 in upright.size:
                    return None
                if upright.mode.startswith(("I", "F")):
                    return upright  # the depth is the package's own affair
                rgba = upright.convert("RGBA")
                return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert(
                    "L"
                )
        except Exception:  # noqa: BLE001  # whatever it is, Pillow refuses
            return None


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001  # broken metadata say nothing about the pixels
        return image


def _luma_by_pillow(data: bytes) -> Image.Image | None:
    """A JPEG's own luma as Pillow decodes it: with absurd colours it is not that of the picture in
    RGB.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data)) as opened:
            if opened.format != "JPEG":
                return None
            opened.draft("L", None)
            opened.load()
            return _upright(opened)


def _compared(expected: Image.Image | None, fast: dict[str, Any], compat: dict[str, Any]) -> str:
    if fast["status"] != compat["status"] and not (fast["status"] == "ok" and fast["detail"]):
        return (
            f"FAULT modes: fast {fast['status']} ({fast['detail']}), compat {compat['status']}"
            f" ({compat['detail']})"
        )
    if fast["status"] != "ok":
        return (
            f"FAULT refused: {fast['detail']}"
            if _should_be_read(expected, fast)
            else f"status {fast['status']}"
        )
    if expected is None:
        return "ok in spite of Pillow" if fast["detail"] else "FAULT read: Pillow refuses it"
    if expected.size != (fast["width"], fast["height"]):
        return f"FAULT size: {expected.size}, got {fast['width']} × {fast['height']}"
    if expected.mode != "L":
        return "ok"
    grey = np.asarray(expected.resize((32, 32), Image.Resampling.BILINEAR), np.int16)
    found = np.frombuffer(fast["thumbnail"], np.uint8).reshape(32, 32).astype(np.int16)
    far = float(np.abs(grey - found).mean())
    return f"FAULT pixels: {far:.1f} grey levels apart" if far > _FARTHEST else "ok"


def _should_be_read(expected: Image.Image | None, fast: dict[str, Any]) -> bool:
    return expected is not None and fast["status"] != "too_large" and expected.mode == "L"


# Datasets


def _read_all(path: Path, **settings: Any) -> str:
    """Open a dataset as a run does, and read all that it holds."""
    source = open_source(DatasetConfig(path=str(path), **settings))
    reader = Reader()
    give = getattr(source, "references", None) or partial(payloads, source)
    n_read = n_missing = 0
    for batch in give(64):
        for content in reader.contents(batch):
            n_read, n_missing = (
                n_read + isinstance(content, bytes),
                n_missing + (not isinstance(content, bytes)),
            )
    if n_read + n_missing != len(source.rows):
        return f"FAULT rows: {len(source.rows)} rows, {n_read + n_missing} contents"
    further = source.further()
    pa.Table.from_pylist(
        [row for _, row in zip(range(len(source.rows)), further.rows(), strict=False)],
        further.schema,
    )
    return "read, some missing" if n_missing else "read"


def _tar_files() -> list[bytes]:
    made = []
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=form) as tar:
            for number in range(3):
                key = (
                    f"{'n' * 120 if number == 2 else 'k'}é{number}"
                    if form != tarfile.USTAR_FORMAT
                    else f"k{number}"
                )
                members = {
                    "png": encoded(photo(number, (8, 8)), "PNG"),
                    "json": (
                        json.dumps({"label": "a", "n": number, "l": [1, [2, {"x": None}]]}).encode()
                    ),
                    "txt": b"a caption",
                }
                for suffix, data in members.items():
                    info = tarfile.TarInfo(f"{key}.{suffix}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
        made.append(out.getvalue())
    return made


def _tar(folder: Path) -> Callable[[random.Random], str]:
    files = _tar_files()

    def check(chance: random.Random) -> str:
        data = bytearray(mutated(chance.choice(files), chance))
        if chance.random() < 0.5:  # right checksums, so that what a header says is believed
            for at in range(0, len(data) - 512, 512):
                if data[at + 257 : at + 262] == b"ustar":
                    data[at + 148 : at + 156] = b" " * 8
                    data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
        (folder / "train-0.tar").write_bytes(data)
        return _read_all(folder / "train-0.tar")

    return check


def _parquet_files() -> list[bytes]:
    images = [{"bytes": encoded(photo(k, (8, 8)), "PNG"), "path": f"{k}.png"} for k in range(6)]
    table = pa.table(
        {
            "image": images,
            "label": pa.array(["a", "b", None] * 2).dictionary_encode(),
            "box": [[1.5, 2.5], [], None, [1.0], [2.0], [3.0]],
            "n": list(range(6)),
        }
    )
    named = pa.table(
        {
            "path": [f"{k}.png" for k in range(6)],
            "split": ["train", "test"] * 3,
            "n": list(range(6)),
        }
    )
    made = []
    for one in (table, named):
        for options in (
            {},
            {"compression": "zstd", "row_group_size": 2},
            {"compression": "none", "version": "1.0"},
        ):
            sink = io.BytesIO()
            pq.write_table(one, sink, **options)
            made.append(sink.getvalue())
    return made


def _parquet(folder: Path) -> Callable[[random.Random], str]:
    files = _parquet_files()

    def check(chance: random.Random) -> str:
        data = chance.choice(files)
        if chance.random() < 0.6:  # the footer, which says where everything is
            (size,) = struct.unpack_from("<I", data, len(data) - 8)
            start = len(data) - 8 - size
            data = data[:start] + mutated(data[start:-8], chance) + data[-8:]
        else:
            data = mutated(data, chance)
        (folder / "data.parquet").write_bytes(data)
        return _read_all(folder / "data.parquet")

    return check


_ODD: Final = (
    *(
        "null",
        "1e999",
        "9" * 5_000,
        "[" * 3_000,
        "{" * 3_000,
        '"\\ud800"',
        '"\\u0000"',
        "NaN",
        "-0",
        "true",
        '""',
    ),
    *(
        "[]",
        "{}",
        '{"a": [[[[1]]]]}',
        '"../../x"',
        '"http://[::1"',
        '"file:///etc/passwd"',
        "1" + "0" * 400,
    ),
    *(
        "&a [*a]",
        "*a",
        "!!python/x y",
        "0x7fffffffffffffff",
        "2020-13-45",
        "? ?",
        "- - -",
        "|\n x",
        "~",
        "\t",
        "'",
    ),
    "\x00",
    *("!!bool x", '!!int ""', "!!timestamp x", '"\\Uffffffff"', "1" + ":00" * 400 + ".5"),
    "1" + ":00" * 20_000,
)
"""Values that stand in for others, some of them no values at all."""


def _mutated_text(text: str, chance: random.Random) -> bytes:
    """Bytes changed, or values replaced by odd ones and lines doubled or dropped."""
    if chance.random() < 0.4:
        return mutated(text.encode(), chance)
    for _ in range(chance.choice((1, 1, 2, 4))):
        if chance.random() < 0.3:
            lines = text.splitlines(keepends=True)
            at = chance.randrange(len(lines)) if lines else 0
            lines[at:at] = [chance.choice(lines) if lines else ""]
            text = "".join(lines)
        else:
            at = chance.randrange(len(text) + 1)
            ends = [end for mark in ",]}\n:" if (end := text.find(mark, at)) >= 0]
            begins = [text.rfind(mark, 0, at) + 1 for mark in ",[{\n:"]
            text = (
                text[: max(begins)]
                + " "
                + chance.choice(_ODD)
                + text[min(ends, default=len(text)) :]
            )
    return text.encode("utf-8", "surrogatepass")


def _yaml(folder: Path) -> Callable[[random.Random], str]:
    for split in ("train", "test"):
        for number in range(2):
            path = folder / "yolo/images" / split / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(photo(number, (8, 8)), "PNG"))
    data = (
        "path: .\ntrain: images/train\nval: [images/test]\nnc: 2\nnames:\n  0: cat\n  1: dog\nnote:"
        " {a: [1, 2]}\n"
    )
    config = (
        "dataset:\n  path: photos\n  sources: []\nhash: {algorithms: [dhash, phash], bits:"
        " 64}\nsearch: {max_distance: 8, orientations: all}\npolicy:\n  leakage: drop_from_train\n "
        " held_out: [test]\ngate: {max_leakage: 0.0}\noutput: {dir: out, files: copy}\nengine:"
        " {workers: 2, timeout: 1.5}\n"
    )

    def check(chance: random.Random) -> str:
        if chance.random() < 0.5:
            (folder / "yolo/data.yaml").write_bytes(_mutated_text(data, chance))
            return _read_all(folder / "yolo", source="yolo")
        (folder / "config.yaml").write_bytes(_mutated_text(config, chance))
        load(folder / "config.yaml")
        return "read"

    return check


def _json(folder: Path) -> Callable[[random.Random], str]:
    names = [f"{k}.png" for k in range(4)]
    for name in names:
        for place in ("lines", "meta/train", "coco/images"):
            (folder / place).mkdir(parents=True, exist_ok=True)
            (folder / place / name).write_bytes(encoded(photo(len(name), (8, 8)), "PNG"))
    rows = [
        {"path": name, "split": "train", "label": "a", "n": 1.5, "box": [1, {"a": 2}]}
        for name in names
    ]
    metadata = [
        {"file_name": name, "label": "a", "n": k, "l": [k, None]} for k, name in enumerate(names)
    ]
    coco = {
        "images": [
            {"id": k, "file_name": name, "width": 8, "height": 8} for k, name in enumerate(names)
        ],
        "annotations": [
            {
                "id": 1,
                "image_id": 2,
                "category_id": 3,
                "bbox": [1, 2, 3, 4],
                "segmentation": [[1, 2]],
            }
        ],
        "categories": [{"id": 3, "name": "cat"}],
    }
    (folder / "coco/annotations").mkdir()
    texts = {
        folder / "lines/m.jsonl": "".join(json.dumps(row) + "\n" for row in rows),
        folder / "meta/train/metadata.jsonl": "".join(json.dumps(row) + "\n" for row in metadata),
        folder / "coco/annotations/instances_train.json": json.dumps(coco, indent=1),
    }
    opened = {"m.jsonl": folder / "lines/m.jsonl", "metadata.jsonl": folder / "meta"}

    def check(chance: random.Random) -> str:
        path = chance.choice(sorted(texts))
        path.write_bytes(_mutated_text(texts[path], chance))
        return _read_all(opened.get(path.name, folder / "coco"))

    return check


CHECKS: Final[dict[str, Callable[[Path], Callable[[random.Random], str]]]] = {
    "png": _picture(_pngs(), checksums=True),
    "jpeg": _picture(_jpegs(), checksums=False),
    "tar": _tar,
    "parquet": _parquet,
    "yaml": _yaml,
    "json": _json,
}

if __name__ == "__main__":
    main()
