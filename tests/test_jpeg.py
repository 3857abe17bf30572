"""JPEG headers read without Pillow: what they say is what Pillow says, or Pillow is asked."""

import struct
from io import BytesIO

import pytest
from PIL import Image, ImageOps

from dedup.decoding.pictures import Unreadable, file_digest, open_picture
from dedup.hashers.compression import of_steps
from dedup.hashers.luma import open_luma
from dedup.hashers.setup import Setup
from tests import pictures

SETUP = Setup(("dhash",), 64, "fast", "#ffffff", 1 << 20)
DQT = b"\xff\xdb"


def said(data: bytes) -> tuple[str, int, int, float | None]:
    """Format, upright size and compression, as they are measured."""
    found = open_luma(data, SETUP, bytes(32))
    assert not isinstance(found, Unreadable)
    return found.format, found.width, found.height, found.compression


def said_by_pillow(data: bytes) -> tuple[str, int, int, float]:
    with Image.open(BytesIO(data)) as image:
        steps = tuple(image.quantization[0])  # type: ignore[attr-defined]
        upright = ImageOps.exif_transpose(image)
        return str(image.format), upright.width, upright.height, of_steps(steps)


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def exif(orientation: int, order: str, name: bytes = b"Exif\0\0") -> bytes:
    """An APP1 segment that says nothing but the orientation."""
    start = b"II*\0" if order == "<" else b"MM\0*"
    directory = struct.pack(order + "IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    return segment(0xE1, name + start + directory)


def behind_soi(data: bytes, *segments: bytes) -> bytes:
    return data[:2] + b"".join(segments) + data[2:]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_of_both_byte_orders(orientation: int, order: str) -> None:
    """Little and big endian: the size is that of the upright picture."""
    data = behind_soi(
        pictures.encoded(pictures.photo(1, (200, 120)), "JPEG"), exif(orientation, order)
    )

    assert said_by_pillow(data) == said(data)


def xmp(orientation: int) -> bytes:
    """An APP1 segment with the orientation in XMP, as editors write it beside EXIF or instead of
    it.
    """
    said = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description'
        f' tiff:Orientation="{orientation}"/></x:xmpmeta>'
    )
    return segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + said.encode())


SILENT = segment(
    0xE1, b"Exif\0\0II*\0" + struct.pack("<IHHHII", 8, 1, 0x010F, 2, 2, 0x41) + bytes(4)
)
"""EXIF that names the maker of the camera, and no orientation."""


@pytest.mark.parametrize(
    "segments",
    [
        (xmp(6),),
        (SILENT, xmp(6)),
        (xmp(6), SILENT),
        (exif(1, "<"), xmp(6)),
        (exif(6, "<"), xmp(1)),
        (exif(3, ">"), xmp(6)),
        (SILENT, xmp(1)),
        (SILENT,),
    ],
)
def test_orientations_in_xmp(segments: tuple[bytes, ...]) -> None:
    """What XMP says counts where EXIF is silent."""
    data = behind_soi(pictures.encoded(pictures.photo(8, (200, 120)), "JPEG"), *segments)

    assert said_by_pillow(data) == said(data)


@pytest.mark.parametrize(("first", "second"), [(1, 6), (6, 1), (6, 6), (0, 6)])
def test_two_exif_segments(first: int, second: int) -> None:
    """Which of them counts is Pillow's to say."""
    data = pictures.encoded(pictures.photo(2, (200, 120)), "JPEG")
    data = behind_soi(data, exif(first, "<"), exif(second, ">"))

    assert said_by_pillow(data) == said(data)


def test_several_pictures_in_one_file() -> None:
    """A stereo or burst file is of the format that Pillow calls MPO, whatever its first picture
    looks like.
    """
    data = pictures.encoded(
        pictures.photo(3, (200, 120)),
        "MPO",
        save_all=True,
        append_images=[pictures.photo(4, (200, 120))],
    )

    assert ("MPO", 200, 120) == said(data)[:3]
    assert said_by_pillow(data) == said(data)


def with_tables_of_16_bits(data: bytes) -> bytes:
    """The same file with every quantisation step in two bytes."""
    at, out = 2, data[:2]
    while data[at + 1] != 0xDA:
        length = 2 + int.from_bytes(data[at + 2 : at + 4])
        one = data[at : at + length]
        if one[:2] == DQT:
            tables = [one[start : start + 65] for start in range(4, len(one), 65)]
            wide = b"".join(
                bytes([0x10 | table[0]]) + struct.pack(">64H", *table[1:]) for table in tables
            )
            one = segment(0xDB, wide)
        out += one
        at += length
    return out + data[at:]


def test_quantisation_tables_of_16_bits() -> None:
    """They say the same as those of 8 bits."""
    plain = pictures.encoded(pictures.photo(5, (200, 120)), "JPEG", quality=30)
    wide = with_tables_of_16_bits(plain)

    assert len(plain) + 128 == len(wide)
    assert said_by_pillow(wide) == said(wide) == said(plain)


def test_a_table_that_comes_twice() -> None:
    """The last one before the picture counts."""
    coarse, fine = (
        pictures.encoded(pictures.photo(6, (200, 120)), "JPEG", quality=q) for q in (10, 95)
    )
    start = coarse.index(DQT)
    tables = coarse[start : start + 2 + int.from_bytes(coarse[start + 2 : start + 4])]
    data = behind_soi(fine, tables)

    assert said_by_pillow(data) == said(data)
    assert said(fine)[3] == said(data)[3]


@pytest.mark.parametrize("tables", [0, 1])
def test_tables_in_one_segment_or_in_several(tables: int) -> None:
    """The luma's table is found by its number, wherever it stands."""
    data = pictures.encoded(pictures.photo(7, (200, 120)), "JPEG", quality=40)
    start = data.index(DQT)
    stop = start + 2 + int.from_bytes(data[start + 2 : start + 4])
    rest = data[stop:]
    second = rest.index(DQT)
    chroma = rest[second + 4 : second + 69]
    luma = data[start + 4 : stop]
    both = segment(0xDB, chroma + luma) if tables else segment(0xDB, chroma) + segment(0xDB, luma)
    data = data[:start] + both + rest[:second] + rest[second + 69 :]

    for stored in (data, with_tables_of_16_bits(data)):
        assert said_by_pillow(stored) == said(stored)


@pytest.mark.parametrize("size", [(1001, 777), (513, 389), (1203, 801), (200, 121)])
def test_a_scaled_picture_keeps_its_shape(size: tuple[int, int]) -> None:
    """At n/8 of its size a picture ends within its last row and column: the luma is as long and
    wide as it says.
    """
    found = open_luma(pictures.encoded(pictures.photo(9, size), "JPEG"), SETUP, bytes(32))
    assert not isinstance(found, Unreadable)

    assert found.plane.height / found.plane.width == pytest.approx(size[1] / size[0], rel=1e-12)


def coloured(seed: int) -> bytes:
    """Three components that libjpeg takes for RGB unless a JFIF or Adobe segment says otherwise."""
    data = pictures.encoded(pictures.photo(seed, (200, 120)), "JPEG", keep_rgb=True)
    adobe = data.index(b"\xff\xee")

    return data[:adobe] + data[adobe + 16 :]


def statuses(data: bytes) -> tuple[str, str]:
    """What Pillow alone says of a file, and what is said in mode fast."""
    by_pillow = open_picture(data, max_pixels=1 << 20)
    found = open_luma(data, SETUP, bytes(32))

    statuses = [one.status if isinstance(one, Unreadable) else "ok" for one in (by_pillow, found)]
    return statuses[0], statuses[1]


JFIF = b"JFIF\0\1\1\0\0\1\0\1\0\0"
ADOBE = b"Adobe\0\x64\0\0\0\0\1"


@pytest.mark.parametrize(
    ("name", "n_bytes"),
    [("JFIF", n) for n in (4, 5, 6, 7, 8, 13, 14, 15)]
    + [("Adobe", n) for n in (5, 6, 7, 8, 9, 11, 12, 13)],
)
def test_a_short_segment_that_names_the_colours(name: str, n_bytes: int) -> None:
    """libjpeg ignores a JFIF segment below 14 bytes and an Adobe segment below 12: other pixels,
    another digest.
    """
    rgb = coloured(20)
    marker, content = {"JFIF": (0xE0, JFIF + b"\0"), "Adobe": (0xEE, ADOBE + b"\0")}[name]
    told = behind_soi(rgb, segment(marker, content[:n_bytes]), segment(0xFE, bytes(255)))
    whole = behind_soi(rgb, segment(0xE0, JFIF))
    by_pillow = open_picture(told, max_pixels=1 << 20)
    found, other = (open_luma(data, SETUP, file_digest(data)) for data in (told, whole))
    assert not isinstance(other, Unreadable)

    assert len(set(statuses(told))) == 1
    if not isinstance(found, Unreadable) and not isinstance(by_pillow, Unreadable):
        same_pixels = by_pillow.image.tobytes() == _decoded(whole).tobytes()

        assert same_pixels == (found.pixel_digest == other.pixel_digest)


def _decoded(data: bytes) -> Image.Image:
    with Image.open(BytesIO(data)) as image:
        return image.convert("RGB")


@pytest.mark.parametrize(
    "odd",
    [
        segment(0xE0, JFIF[:5]),
        segment(0xEE, ADOBE[:6]),
        segment(0xE2, b"ICC_PROFILE\0"),
        segment(0xED, b"Photoshop 3.0\0" + b"8BIM\4\4"),
        segment(0xED, b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\0\0" + b"8BIM\4\5"),
    ],
)
def test_a_status_is_the_word_of_pillow(odd: bytes) -> None:
    """Segments over which Pillow refuses a file that libjpeg decodes."""
    data = behind_soi(pictures.encoded(pictures.photo(21, (200, 120)), "JPEG"), odd)

    assert ("undecodable", "undecodable") == statuses(data)


def test_an_orientation_stated_twice() -> None:
    """Of two entries in one directory, Pillow's choice counts."""
    entries = b"".join(struct.pack("<HHIHH", 0x0112, 3, 1, turn, 0) for turn in (1, 6))
    tiff = b"II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4)
    data = behind_soi(
        pictures.encoded(pictures.photo(22, (200, 120)), "JPEG"), segment(0xE1, b"Exif\0\0" + tiff)
    )

    assert said_by_pillow(data) == said(data)
