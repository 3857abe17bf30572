"""What is decoded outside a run: little in this process, everything else in workers with limits."""

import dataclasses
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import dedup
from dedup import limited
from dedup.decoding.effort import MOST_PIXELS, is_light
from dedup.engines import Limits
from dedup.hashers.close_views import close_view, shortened
from dedup.hashers.quality import quality
from dedup.hashers.work import status_of_lost
from dedup.memory import NOT_ENOUGH
from tests import pictures

encoded = pictures.encoded
photo = pictures.photo


def png(width: int, height: int, grey: int = 0) -> bytes:
    """A PNG of one grey, packed as well as it can be."""
    row = b"\0" + bytes([grey]) * width
    packer = zlib.compressobj(9)
    at_once = max(1, 1_000_000 // len(row))
    rows = [packer.compress(row * at_once) for _ in range(height // at_once)]
    rows += [packer.compress(row * (height % at_once)), packer.flush()]
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", b"".join(rows)), (b"IEND", b""))

    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(of)) + name + of + struct.pack(">I", zlib.crc32(name + of))
        for name, of in chunks
    )


def frames(form: str) -> bytes:
    """A file of two frames."""
    return encoded(photo(1), form, save_all=True, append_images=[photo(2)])


def many_scans(n: int) -> bytes:
    """A progressive JPEG of 2,000 × 2,000 pixels with its last scan repeated: many passes."""
    data = encoded(Image.new("L", (2_000, 2_000)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")

    return data[:last] + n * data[last:-2] + data[-2:]


LIGHT: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: encoded(photo(1), "JPEG"),
    "progressive JPEG": lambda: encoded(photo(1), "JPEG", progressive=True),
    "PNG": lambda: encoded(photo(1)),
    "WebP": lambda: encoded(photo(1), "WEBP"),
    "lossless WebP": lambda: encoded(photo(1), "WEBP", lossless=True),
    "WebP with transparency": lambda: encoded(photo(1).convert("RGBA"), "WEBP", exif=b"Exif\0\0"),
}
HEAVY: dict[str, Callable[[], bytes]] = {
    "GIF": lambda: encoded(photo(1), "GIF"),
    "TIFF": lambda: encoded(photo(1), "TIFF"),
    "AVIF": lambda: encoded(photo(1), "AVIF"),
    "BMP": lambda: encoded(photo(1), "BMP"),
    "MPO": lambda: frames("MPO"),
    "animated PNG": lambda: frames("PNG"),
    "animated WebP": lambda: frames("WEBP"),
    "CMYK": lambda: encoded(photo(1).convert("CMYK"), "JPEG"),
    "many scans": lambda: many_scans(100),
    "thin PNG": lambda: png(1, 100_000),
    "large PNG": lambda: png(4_097, MOST_PIXELS // 4_096),
    "large WebP": lambda: encoded(Image.new("L", (5_000, 5_000)), "WEBP", lossless=True),
    "nothing": lambda: b"",
    "a signature": lambda: b"RIFF\0\0\0\0WEBPVP8X",
    "text": lambda: b"a text",
}


@pytest.mark.parametrize("name", LIGHT)
def test_what_is_light(name: str) -> None:
    """Plain files of one frame: the header bounds the work."""
    assert is_light(LIGHT[name]())


@pytest.mark.parametrize("name", HEAVY)
def test_what_is_not(name: str) -> None:
    """Several frames, many pixels, rows or scans, or a form whose header says little."""
    assert not is_light(HEAVY[name]())


@pytest.mark.parametrize("name", LIGHT)
def test_at_the_bound(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The size in the header is Pillow's: one pixel less is too few, as many are enough."""
    data = LIGHT[name]()
    n_pixels = photo(1).width * photo(1).height
    monkeypatch.setattr("dedup.decoding.effort.MOST_PIXELS", n_pixels)
    assert is_light(data)
    monkeypatch.setattr("dedup.decoding.effort.MOST_PIXELS", n_pixels - 1)
    assert not is_light(data)


def opened_here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls of Pillow's `open` in this process, as they come."""
    calls: list[str] = []
    really = Image.open

    def recording(*given: Any, **options: Any) -> Image.Image:
        calls.append(repr(given))
        return really(*given, **options)

    monkeypatch.setattr(Image, "open", recording)

    return calls


def compared(path: Path) -> None:
    """Compare a file with itself."""
    dedup.compare(path, path)


def hashed(path: Path) -> None:
    """Hash it as a file and as bytes."""
    dedup.hash_images([path, path.read_bytes()], algorithm="phash", mode="compat")


def built(folder: Path) -> None:
    """A bank with one entry."""
    pictures.save(photo(1), folder / "own" / "a.png")
    dedup.Bank.build(folder / "x.bank", folder / "own")


def checked(path: Path) -> None:
    """Ask a bank for it."""
    assert dedup.Bank(path.parent / "x.bank").check(path).matches


CALLS = {"compare": compared, "hash_images": hashed, "bank": checked}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_nothing_heavy_is_decoded_here(
    call: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GIF never meets a decoder of this process; a PNG does."""
    built(tmp_path)
    gif, small = tmp_path / "a.gif", tmp_path / "a.png"
    gif.write_bytes(encoded(photo(1), "GIF"))
    small.write_bytes(encoded(photo(1).convert("RGBA")))
    calls = opened_here(monkeypatch)

    call(gif)
    assert calls == []
    call(small)
    assert calls


@pytest.mark.parametrize("name", ["GIF", "TIFF", "PNG", "JPEG"])
def test_the_same_here_and_there(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is decoded changes nothing."""
    a, b = encoded(photo(1), name), encoded(photo(1).resize((180, 150)), "JPEG", quality=60)
    codes = dedup.hash_images([a, b], algorithm="phash")
    one = dedup.compare(a, b)
    monkeypatch.setattr(limited, "is_light", lambda _data: name in {"GIF", "TIFF"})
    other = dedup.compare(a, b)

    assert np.array_equal(codes, dedup.hash_images([a, b], algorithm="phash"))
    for field in dataclasses.fields(one):
        if field.name not in {"a", "b"}:
            assert getattr(one, field.name) == getattr(other, field.name)
    assert np.array_equal(one.a.thumbnail, other.a.thumbnail)


def test_the_first_that_cannot_be_read_is_named() -> None:
    """Also where those before it, and it itself, are measured elsewhere."""
    gif, cut = encoded(photo(1), "GIF"), encoded(photo(2), "GIF")[:2_000]
    jpeg, broken = encoded(photo(1), "JPEG"), encoded(photo(2))[:300]
    for images, first in (
        ([gif, jpeg, cut, broken], 2),
        ([gif, jpeg, broken, cut], 2),
        ([jpeg, gif, gif, broken], 3),
    ):
        with pytest.raises(dedup.SourceError, match=rf"images\[{first}\]: truncated"):
            dedup.hash_images(images, algorithm="dhash")


def test_codes_are_in_their_places() -> None:
    """Light and heavy ones, files and PIL images, in any mixture."""
    given = [photo(k) for k in range(5)]
    mixed = [
        encoded(given[0]), encoded(given[1], "TIFF"), given[2], encoded(given[3], "BMP"),
        encoded(given[4]),
    ]  # fmt: skip
    expected = dedup.hash_images([encoded(one) for one in given], algorithm="dhash")

    assert np.array_equal(expected, dedup.hash_images(mixed, algorithm="dhash"))


def test_a_picture_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused with the limit, and the other one is not waited for."""
    monkeypatch.setattr(
        limited, "LIMITS", Limits(seconds=0.01, setting="a picture that is decoded outside a run")
    )
    gif = encoded(photo(1), "GIF")
    with pytest.raises(dedup.SourceError, match=r"not done after 0\.01 s, the limit of a picture"):
        dedup.compare(gif, gif)
    with pytest.raises(dedup.SourceError, match=r"images\[0\]: undecodable: not done after"):
        dedup.hash_images([gif], algorithm="dhash")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps to the limit")
def test_a_picture_that_takes_too_much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is too large, also where the memory ends outside of the decoder."""
    monkeypatch.setattr(limited, "LIMITS", Limits(n_bytes=350_000_000))
    thin = png(1, 40_000_000)
    with pytest.raises(dedup.SourceError, match="too_large: not enough memory"):
        dedup.compare(thin, thin)


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="memory is measured as Linux tells it"
)
def test_this_process_stays_small(tmp_path: Path) -> None:
    """Two small files of 20,000,000 rows cost the process that asks nothing worth speaking of."""
    for k in range(2):
        (tmp_path / f"{k}.png").write_bytes(png(1, 20_000_000, k))
    code = (
        "import resource, dedup, sys\n"
        "from dedup.hashers import measure\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "dedup.hash_images(sys.argv[1:], algorithm='dhash')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    paths = [str(tmp_path / f"{k}.png") for k in range(2)]
    done = subprocess.run(
        [sys.executable, "-c", code, *paths], capture_output=True, check=True, timeout=300
    )

    assert int(done.stdout) < 150_000


@pytest.mark.parametrize("size", [(1, 90_000_000), (90_000_000, 1)])
def test_a_second_look_at_a_very_long_picture(size: tuple[int, int]) -> None:
    """Pillow has no memory for the weights with which it would resize it at once."""
    image = Image.new("L", size, 100)
    seen = quality(shortened(image))

    assert close_view(image).side == 90_000_000
    assert (close_view(image).grey == 100).all()
    assert not seen.energy.any()


def test_others_are_not_shortened() -> None:
    """What a usual picture shows is what it showed before."""
    image = photo(1)

    assert shortened(image) is image


def test_what_memory_was_too_little_for_is_too_large() -> None:
    """It stays in the dataset, not judged, as a picture above the limit of pixels does."""
    data = encoded(photo(1))

    assert status_of_lost(data, f"{NOT_ENOUGH} within 5 bytes") == "too_large"
    assert status_of_lost(data, "the decoding process died (SIGKILL)") == "undecodable"
    assert status_of_lost(b"a text", NOT_ENOUGH) == "not_image"
