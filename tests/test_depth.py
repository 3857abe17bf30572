"""Pictures of more than 8 bits: what they use is stretched, what identifies them is what is
stored.
"""

import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from dedup.decoding.depth import eight_bit, used_range
from dedup.decoding.pictures import Picture, open_picture
from tests import pictures

Values = NDArray[Any]


def grey(seed: int, side: int = 256) -> NDArray[np.float64]:
    """A picture from 0 to 1."""
    levels = np.asarray(pictures.photo(seed, (side, side)).convert("L"), np.float64)
    return np.interp(levels, [levels.min(), levels.max()], [0.0, 1.0])


def opened(values: Values) -> Picture:
    """The picture of a file that stores such values: PNG for 16 bits, else TIFF."""
    image = Image.fromarray(values)
    sink = BytesIO()
    image.save(sink, "PNG" if values.dtype == np.uint16 else "TIFF")
    found = open_picture(sink.getvalue(), max_pixels=1 << 24)
    assert isinstance(found, Picture)
    return found


def likeness(one: Values, two: Values) -> float:
    """Correlation."""
    return float(np.corrcoef(np.asarray(one, float).ravel(), np.asarray(two, float).ravel())[0, 1])


USED = {
    "a CT window": lambda g: (900 + 400 * g).astype(np.uint16),
    "depth in millimetres": lambda g: (400 + 3000 * g).astype(np.uint16),
    "12 bits": lambda g: (4095 * g).astype(np.uint16),
    "the top": lambda g: (64000 + 900 * g).astype(np.uint16),
    "Hounsfield units": lambda g: (-1000 + 2500 * g).astype(np.int32),
    "counts above 65,535": lambda g: (70000 + 900 * g).astype(np.int32),
    "floats that reach 1.01": lambda g: (1.01 * g).astype(np.float32),
    "small floats": lambda g: (1e-4 * g).astype(np.float32),
    "elevation": lambda g: (2100.5 + 80 * g).astype(np.float32),
    "reflectance": lambda g: (0.02 + 0.2 * g).astype(np.float32),
}


class TestStretched:
    """What is measured."""

    @pytest.mark.parametrize("kind", USED)
    def test_all_grey_levels_are_there(self, kind: str) -> None:
        """However little of the container the values use, the picture has its contrast."""
        levels = grey(1)
        found = np.asarray(opened(USED[kind](levels)).image)

        assert found.min() <= 2
        assert found.max() >= 253
        assert likeness(found, levels) > 0.999

    @pytest.mark.parametrize("no_data", [0, 65535])
    @pytest.mark.parametrize("share", [1, 600, 20_000])
    def test_one_value_for_no_data(self, share: int, no_data: int) -> None:
        """A constant far outside, of one pixel or of a third of them, does not flatten the rest."""
        levels = grey(2)
        values = (9000 + 300 * levels).astype(np.uint16)
        values.ravel()[:share] = no_data
        rest = np.asarray(opened(values).image).ravel()[share:]

        assert likeness(rest, levels.ravel()[share:]) > 0.999
        assert np.ptp(rest) > 250

    @pytest.mark.parametrize("no_data", [-9999.0, -3.4e38, np.nan, np.inf, 1e20])
    def test_no_data_in_floats(self, no_data: float) -> None:
        """The usual ones of rasters, values that are not finite among them."""
        levels = grey(3)
        values = (120 + 30 * levels).astype(np.float32)
        values[:40] = no_data
        rest = np.asarray(opened(values).image)[40:]

        assert likeness(rest, levels[40:]) > 0.999
        assert np.ptp(rest) > 250

    @pytest.mark.parametrize("kind", USED)
    def test_copies_are_stretched_alike(self, kind: str) -> None:
        """A copy that was resized or cropped has the same grey levels, but for a tenth of the
        range.
        """
        levels = grey(4, 400)
        small = np.asarray(
            Image.fromarray(levels.astype(np.float32)).resize((200, 200), Image.Resampling.BOX)
        )
        whole, resized, cropped = (
            np.asarray(opened(USED[kind](part)).image, float)
            for part in (levels, small, levels[20:380, 30:390])
        )
        expected = whole.reshape(200, 2, 200, 2).mean(axis=(1, 3))

        assert np.abs(resized - expected).mean() < 12
        assert np.abs(cropped - whole[20:380, 30:390]).mean() < 12

    def test_a_few_hot_pixels(self) -> None:
        """They do not decide the range."""
        values = (1000 + 200 * grey(5)).astype(np.uint16)
        values.ravel()[:: values.size // 40] = np.linspace(
            5_000, 60_000, len(values.ravel()[:: values.size // 40])
        )

        assert np.ptp(np.quantile(np.asarray(opened(values).image), [0.01, 0.99])) > 200


class TestAsBefore:
    """What uses its container is scaled by it."""

    def test_a_photo_of_16_bits(self) -> None:
        """Stretching starts where less than half of the range is used."""
        values = (6000 + 50_000 * grey(6)).astype(np.uint16)

        assert np.array_equal(
            np.rint(values / 257.0).astype(np.uint8), np.asarray(opened(values).image)
        )

    def test_8_bits_stored_as_16(self) -> None:
        """An 8-bit picture with little contrast stays what it is, and is identical to its 8-bit
        file.
        """
        eight = (100 + 20 * grey(7)).astype(np.uint8)
        wide, narrow = opened(eight.astype(np.uint16) * 257), opened(eight)

        assert np.array_equal(eight, np.asarray(wide.image))
        assert wide.pixel_digest == narrow.pixel_digest

    def test_a_starfield(self) -> None:
        """Where nearly everything is one value, the rest is the picture."""
        values = np.zeros((256, 256), np.uint16)
        values[np.arange(0, 256, 64), np.arange(0, 256, 64)] = [100, 200, 300, 400]

        assert {0, 255} <= {*np.asarray(opened(values).image).ravel().tolist()}

    @pytest.mark.parametrize("value", [0, 1234, 65535])
    def test_a_flat_picture(self, value: int) -> None:
        """There is nothing to stretch."""
        assert len(np.unique(np.asarray(opened(np.full((40, 40), value, np.uint16)).image))) == 1

    def test_nothing_finite(self) -> None:
        """A picture of NaN is black."""
        found, is_exact = eight_bit(np.full((4, 4), np.nan, np.float32), is_float=True)

        assert not found.any()
        assert not is_exact


class TestDigests:
    """Identical means the stored values."""

    def test_equal_when_stretched_is_not_equal(self) -> None:
        """Two pictures that look alike once stretched differ in what is stored."""
        levels = np.rint(200 * grey(8))
        one, two = (
            opened((900 + levels).astype(np.uint16)),
            opened((1900 + levels).astype(np.uint16)),
        )

        assert np.array_equal(np.asarray(one.image), np.asarray(two.image))
        assert one.pixel_digest != two.pixel_digest

    def test_negative_values(self) -> None:
        """A picture with values outside of every container is no 8-bit picture, however it comes
        out.
        """
        one, two = (opened(np.array([[low, low + 255]] * 8, np.int32)) for low in (-5, -7))

        assert one.pixel_digest != two.pixel_digest


def test_the_range_of_numbers() -> None:
    """0.1 % at either end and a lonely constant are left out; of two values both count."""
    levels = np.arange(10_000.0)

    assert used_range(levels) == pytest.approx((10, 9989), abs=0.1)
    assert used_range(np.append(levels, np.full(3000, -1e6))) == pytest.approx((10, 9989), abs=0.1)
    assert used_range(np.array([0.0, 1.0] * 50)) == (0, 1)


def colours(seed: int, low: int, high: int) -> NDArray[np.uint16]:
    """A photo in three colours between two values."""
    levels = np.asarray(pictures.photo(seed, (64, 48)), np.float64) / 255
    return np.rint(low + (high - low) * levels).astype(np.uint16)


def as_png(values: NDArray[np.uint16]) -> bytes:
    """A PNG of channels with 16 bits, made without Pillow, which writes none."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    height, width, n_channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    kind = {2: 4, 3: 2, 4: 6}[n_channels]
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def as_tiff(values: NDArray[np.uint16], order: str = "<") -> bytes:
    """An uncompressed TIFF of the same."""
    height, width, _ = values.shape
    raw = values.astype(f"{order}u2").tobytes()
    tags = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, 8), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, 1, 14), (277, 3, 1, 3), (278, 4, 1, height), (279, 4, 1, len(raw)),
    ]  # fmt: skip
    fields = b"".join(
        struct.pack(order + "HHI", tag, kind, n)
        + (
            struct.pack(order + "HH", value, 0)
            if kind == 3 and n == 1
            else struct.pack(order + "I", value)
        )
        for tag, kind, n, value in tags
    )
    mark = b"II*\0" if order == "<" else b"MM\0*"
    head = mark + struct.pack(order + "I", 14 + len(raw)) + struct.pack(order + "HHH", 16, 16, 16)
    return head + raw + struct.pack(order + "H", len(tags)) + fields + struct.pack(order + "I", 0)


FORMS: dict[str, Callable[[NDArray[np.uint16]], bytes]] = {
    "PNG": as_png,
    "TIFF": as_tiff,
    "TIFF, big-endian": lambda values: as_tiff(values, ">"),
}


def picture_of(data: bytes) -> Picture:
    """The picture of a file that can be read."""
    found = open_picture(data, max_pixels=1 << 24)
    assert isinstance(found, Picture)
    return found


class TestThreeColours:
    """Of 16 bits each: Pillow keeps their high bytes only."""

    @pytest.mark.parametrize("form", FORMS)
    def test_few_values_keep_their_contrast(self, form: str) -> None:
        """A range of 400 values is stretched, as it is in grey pictures."""
        values = colours(1, 900, 1300)
        found = np.asarray(picture_of(FORMS[form](values)).image)

        assert 250 <= int(found.max()) - int(found.min())
        assert 0.999 < likeness(found, values)

    @pytest.mark.parametrize("form", FORMS)
    def test_the_low_bytes_count(self, form: str) -> None:
        """Pictures that differ below the high byte are not identical; the same values in another
        file are.
        """
        values = colours(2, 0, 65535)
        other = values.copy()
        other[3, 5, 1] ^= 1
        one, two, again = (
            picture_of(data).pixel_digest
            for data in (FORMS[form](values), FORMS[form](other), as_png(values))
        )

        assert one != two
        assert one == again

    @pytest.mark.parametrize("form", FORMS)
    def test_eight_bits_stored_wider_are_the_same_picture(self, form: str) -> None:
        """As those of grey pictures are."""
        eight = np.asarray(pictures.photo(3, (64, 48)))
        wide = FORMS[form](eight.astype(np.uint16) * 257)

        assert (
            picture_of(pictures.encoded(Image.fromarray(eight))).pixel_digest
            == picture_of(wide).pixel_digest
        )

    def test_grey_stored_in_three_colours_is_the_grey_picture(self) -> None:
        """Its values are those of one channel."""
        values = (900 + 400 * grey(4, 32)).astype(np.uint16)
        found = picture_of(as_png(np.stack([values] * 3, axis=-1)))

        assert opened(values).pixel_digest == found.pixel_digest


def with_alpha(values: NDArray[np.uint16], alpha: Any = 65535) -> NDArray[np.uint16]:
    """The values with one more channel."""
    last = np.broadcast_to(np.asarray(alpha, np.uint16), values.shape[:2])
    return np.ascontiguousarray(np.concatenate([values, last[..., None]], axis=-1))


@pytest.mark.parametrize("channels", [slice(0, 1), slice(0, 3)], ids=["grey", "colours"])
class TestTransparency:
    """Of 16 bits: Pillow keeps the high bytes only, of grey with transparency as well."""

    def test_few_values_keep_their_contrast(self, channels: slice) -> None:
        """A range of 400 values is stretched, and is the picture without transparency."""
        values = colours(1, 900, 1300)[..., channels]
        found = picture_of(as_png(with_alpha(values)))
        full = picture_of(as_png(np.broadcast_to(values, (*values.shape[:2], 3))))

        assert np.ptp(np.asarray(found.image)) > 240
        assert np.array_equal(np.asarray(full.image), np.asarray(found.image))
        assert full.pixel_digest == found.pixel_digest

    def test_what_is_hidden_does_not_count(self, channels: slice) -> None:
        """Neither for the range nor for the digest; it shows the background."""
        values = colours(2, 900, 1300)[..., channels].copy()
        alpha = np.full(values.shape[:2], 65535, np.uint16)
        alpha[:20] = 0
        values[:20] = 60_000
        one = picture_of(as_png(with_alpha(values, alpha)))
        values[:20] = 7
        two = picture_of(as_png(with_alpha(values, alpha)))

        assert (np.asarray(one.image)[:20] == 255).all()
        assert np.ptp(np.asarray(one.image)[20:]) > 240
        assert one.pixel_digest == two.pixel_digest

    def test_the_low_bytes_count(self, channels: slice) -> None:
        """Pictures that differ in them alone are not identical, in a colour or in transparency."""
        values, alpha = colours(3, 900, 60_000)[..., channels], np.full((48, 64), 40_000, np.uint16)
        more = alpha.copy()
        more[0, 0] += 1
        brighter = values.copy()
        brighter[-1, -1] ^= 1
        found = [
            picture_of(as_png(with_alpha(of, a))).pixel_digest
            for of, a in ((values, alpha), (values, more), (brighter, alpha))
        ]

        assert 3 == len(set(found))

    def test_8_bits_stored_as_16(self, channels: slice) -> None:
        """They are identical to their file of 8 bits, half of which is transparent."""
        values = (colours(4, 0, 255)[..., channels]) * np.uint16(257)
        alpha = np.where(np.indices((48, 64))[1] < 30, 0, 257 * 128).astype(np.uint16)
        wide = with_alpha(values, alpha)
        narrow = BytesIO()
        eight = np.broadcast_to(values // 257, (48, 64, 3)).astype(np.uint8)
        last = (alpha // 257).astype(np.uint8)
        Image.fromarray(np.dstack([eight, last])).save(narrow, "PNG")

        assert picture_of(narrow.getvalue()).pixel_digest == picture_of(as_png(wide)).pixel_digest
