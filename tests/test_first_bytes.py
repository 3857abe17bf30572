"""What first bytes show to be an image, since nothing else is carried into an output."""

from io import BytesIO

import pytest
from PIL import Image

from dedup.decoding.pictures import FORMATS
from dedup.decoding.refusals import form_of, shows_image
from tests import pictures

Image.init()
BY_SIGN = [form for form in FORMATS if form in Image.SAVE and form not in {"TGA", "DIB"}]
"""Forms that have a sign at their beginning, as far as Pillow writes them. A DIB is a BMP without
its first header."""


def stored(form: str) -> bytes:
    """A small picture in the form, in a mode that the form has."""
    picture = pictures.photo(1, (64, 64))
    for mode in ("RGB", "L", "1"):
        sink = BytesIO()
        try:
            picture.convert(mode).save(sink, form)
        except (OSError, ValueError, KeyError):
            continue
        return sink.getvalue()
    pytest.skip(f"Pillow has no encoder of {form} here")


@pytest.mark.parametrize("form", BY_SIGN)
def test_every_form_that_is_decoded(form: str) -> None:
    """It is known by its beginning, however much of the rest is missing."""
    data = stored(form)

    assert all(shows_image(data[:n]) for n in (48, 100, 1_000, len(data)))


@pytest.mark.parametrize(
    "data",
    [
        b"BM", b"BM\x36\x10\0\0", b"BM\x36\x10\0\0\0\0", b"BM\x36\x10\0\0\0\0\0\0\x36", b"GIF8",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        (b"<?xml version='1.0'?>\n<!-- made -- by -->\n<!DOCTYPE svg PUBLIC '-//W3C//DTD'"
        b" 'x.dtd' [\n<!ENTITY a 'b'>\n]>\n<svg:svg>"),
        b"\xef\xbb\xbf<?xml version='1.0'?><?style a?><svg\n>",
        b"MMOR\0\0\0\x08", b"IIRO\x08\0\0\0", b"P5\n# made by hand\n 12 # wide\n 9\n255\n",
        b"P7\nWIDTH 3\n", b"Pf 3 2\n-1.0\n",
    ],
)  # fmt: skip
def test_beginnings_of_images(data: bytes) -> None:
    """As they are written, and cut off early."""
    assert shows_image(data)


@pytest.mark.parametrize(
    "text",
    [
        "BMs, a list", "BMW: 4711", "P1 is the password of the first pump", "P5\nthe fifth letter",
        "P3 2023 was a good year", "Pf., in German", "P7 comes next", "GIF89 is a year",
        "GIF8 or 9",
        "MMORPG accounts: anna, secret", "IIRS, form 3", "LinServer=10.0.0.1, a key",
        "DanMark", "icns of mine", "qoif is a form", "FLIFT, a word", "IIU, a club",
        "<?xml version='1.0'?><accounts><!-- <svg --><key>secret</key></accounts>",
        "<?xml version='1.0'?><html><body>secret <svg></svg></body></html>", "<svgs/>",
        "<!-- <svg> --> secret", "#define KEY 4711", "/* XPMs */",
    ],
)  # fmt: skip
def test_texts_that_begin_like_images(text: str) -> None:
    """A letter stays a letter, whatever its first word is."""
    assert form_of(text.encode()) is None
    assert form_of((text + "\n" + "and more of it, 255 times\n" * 200).encode()) is None


def test_no_beginning_takes_long() -> None:
    """Patterns look at each byte a few times at most, also where they fail at the very end."""
    for part in (
        b"<!-- -->",
        b"<?a?>",
        b" ",
        b"<!DOCTYPE a [b]>",
        b"<!--",
        b"<?xml ",
        b"P5 ",
        b"#\n",
    ):
        assert form_of(part * 4_096) is None
        assert form_of(b"P5 " + part * 4_096) is None
