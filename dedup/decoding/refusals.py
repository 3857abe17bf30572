"""Why a file is not decoded: broken, cut short, or of a kind that is not decoded here, by its first
bytes.
"""

import re
import struct
from typing import Final

from dedup.decoding import tiff

_NOT_DECODED: Final = (
    ("HEIC", rb"....ftyphe"),
    ("HEIF", rb"....ftypm[is]f1"),
    ("Canon CR3", rb"....ftypcrx "),
    ("JPEG XL", rb"\xff\x0a|\0\0\0\x0cJXL \r\n"),
    ("JPEG XR", rb"II\xbc\x01"),
    ("JPEG-LS", rb"\xff\xd8\xff\xf7"),
    ("JPEG 2000", rb"\0\0\0\x0cjP  \r\n|\xff\x4f\xff\x51"),
    ("AVIF", rb"....ftypavi[fs]"),
    # a picture; other PostScript, and PDF, are documents
    (
        "PostScript",
        rb"%!PS-Adobe-[\d.]+ EPSF",
    ),
    # Its first element, behind what may stand before it; no group is tried a second time.
    (
        "SVG",
        (
            rb"(?:\xef\xbb\xbf)?"
            rb"(?>\s+|<!--.*?-->|<\?.*?\?>|<!DOCTYPE[^\[>]*(?:\[[^\]]*\])?[^>]*>)*+"
            rb"<(?:svg:)?svg[\s>]"
        ),
    ),
    ("DICOM", rb".{128}DICM"),
    ("FITS", rb"SIMPLE  ="),
    ("NIfTI", rb".{344}n[+i]1\0"),
    ("OpenEXR", rb"\x76\x2f\x31\x01"),
    ("Radiance HDR", rb"#\?(RADIANCE|RGBE)"),
    ("a large Photoshop document", rb"8BPS\0\x02"),
    (
        "a camera's raw file",
        rb"FUJIFILMCCD-RAW|II(?:R[OS]\x08|U\0\x18)\0\0\0|MMOR\0\0\0\x08",
    ),
    ("XCF", rb"gimp xcf"),
    ("DjVu", rb"AT&TFORM"),
    ("BPG", rb"BPG\xfb"),
    ("FLIF", rb"FLIF[134ACDQSTacd][012]"),
    ("NumPy", rb"\x93NUMPY"),
)
"""Forms of images that are known by their first bytes and not decoded, unless an extra or a plugin
is installed.
"""

_DECODED: Final = (
    ("JPEG", rb"\xff\xd8|\xff\Z"),
    ("PNG", rb"\x89PNG|\x89(P|PN)?\Z"),
    ("GIF", rb"GIF8[79]a|GIF8[79]?\Z"),
    ("WEBP", rb"RIFF....WEBP"),
    (
        "BMP",
        (
            rb"BM.{4}\0{4}.{4}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0{3}"
            rb"|BM.{0,4}\Z|BM.{4}\0{1,4}\Z|BM.{4}\0{4}.{1,7}\Z"
        ),
    ),
    ("TIFF", rb"II[*+]\0|MM\0[*+]"),
    ("QOI", rb"qoif.{8}[\x03\x04][\0\x01]|qoif.{0,7}\Z"),
    ("PSD", rb"8BPS\0\x01"),
    ("ICO", rb"\0\0\x01\0[^\0]\0"),
    ("ICNS", rb"icns[\0-\x0f]"),
    ("DDS", rb"DDS \x7c\0\0\0"),
    (
        "PPM",
        rb"P[1-6fF](?>\s+|#[^\n]*\n)++[0-9]+(?>\s+|#[^\n]*\n)++[0-9]+\s|P7\s+(?:#|WIDTH|332)",
    ),
    ("PCX", rb"\x0a[\0\x02\x03\x05]\x01[\x01\x02\x04\x08]"),
    ("SGI", rb"\x01\xda[\0\x01][\x01\x02]"),
    ("SUN", rb"\x59\xa6\x6a\x95"),
    ("MSP", rb"(?:DanM|LinS).[\0-\x1f].[\0-\x1f]"),
    ("XBM", rb"\s*#define \w+_width \d+"),
    ("XPM", rb"\s*/\* XPM \*/"),
)
"""Forms that are decoded, so that a file that begins so and is refused is broken, or of a rare
kind.

TGA has nothing at its beginning that tells it: such a file is an image where it can be decoded.
"""

NOT_IMAGE: Final = "not_image"
"""Status of what its first bytes do not show to be an image: whatever it is, it is carried
nowhere.
"""

LONGEST: Final = 4096  # bytes that tell a form: SVG may have comments before its first element

_PATTERNS: Final = tuple(
    (name, re.compile(pattern, re.DOTALL), is_decoded)
    for table, is_decoded in ((_NOT_DECODED, False), (_DECODED, True))
    for name, pattern in table
)

_FRAMES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # JPEG markers of frames
# lossless and hierarchical
_RARE_FRAMES: Final = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF})


def form_of(data: bytes) -> tuple[str, bool] | None:
    """The form of image that the first bytes tell of, and whether it is one that is decoded; None
    for anything else.
    """
    head = data[:LONGEST]

    return next(
        ((name, is_decoded) for name, pattern, is_decoded in _PATTERNS if pattern.match(head)), None
    )


def shows_image(data: bytes) -> bool:
    """Whether the first bytes are those of an image, whether or not it can be decoded."""
    return form_of(data) is not None


def refusal(data: bytes) -> tuple[str, str, str | None]:
    """Status, detail and form of a file that no decoder takes for its own."""
    found = form_of(data)
    if found is None:
        return NOT_IMAGE, "it does not begin as any image does", None

    name, is_decoded = found
    if not is_decoded:
        return "unsupported", f"{name} is not decoded here", name

    return (
        *(rare(data, name) or ("undecodable", f"it starts like {name}, but its header is broken")),
        name,
    )


def rare(data: bytes, name: str | None) -> tuple[str, str] | None:
    """Status and detail of a well-formed file of a kind that decoders of its form refuse; None for
    any other.
    """
    if name == "TIFF":
        return _rare_tiff(data)

    return _rare_jpeg(data) if name == "JPEG" else None


def _rare_tiff(data: bytes) -> tuple[str, str] | None:
    found = tiff.directory(data)
    if found is None:
        return None
    if found.stop > len(data):
        return "truncated", f"its pixels end at byte {found.stop:,}, the file at {len(data):,}"

    return "unsupported", str(found)


def _rare_jpeg(data: bytes) -> tuple[str, str] | None:
    """12 bits, lossless or hierarchical (ITU-T T.81, table B.1), or a number of components that
    nobody uses.
    """
    at = 2
    try:
        while data[at] == 0xFF:
            marker = data[at + 1]
            if marker in _FRAMES:
                n_bits, height, width, n_components = struct.unpack_from(">BHHB", data, at + 4)
                if not height or not width or n_bits not in range(2, 17):
                    return None
                kind = (
                    f"a lossless or hierarchical frame (marker {marker:#x})"
                    if marker in _RARE_FRAMES
                    else ""
                )
                kind = kind or (f"{n_bits} bits per sample" if n_bits != 8 else "")
                kind = kind or (
                    f"{n_components} components" if n_components not in {1, 3, 4} else ""
                )
                return ("unsupported", f"a JPEG with {kind} is not decoded here") if kind else None
            at += 2 + int.from_bytes(data[at + 2 : at + 4])
    except (IndexError, struct.error):
        return None

    return None
