"""Which file formats lose something of a picture."""

from PIL import Image


def lossless(opened: Image.Image, data: bytes) -> bool:
    """Whether the form of an opened file keeps every value, whatever was done before."""
    if opened.mode in {"P", "PA"}:  # colours were reduced to a palette
        return False
    if opened.format == "WEBP":
        return b"VP8L" in data[:64]
    if opened.format == "TIFF":
        return opened.info.get("compression") not in {"jpeg", "tiff_jpeg", "webp"}

    return opened.format in {
        "PNG",
        "BMP",
        "DIB",
        "PPM",
        "TGA",
        "QOI",
        "PCX",
        "SGI",
        "ICO",
        "PSD",
        "XBM",
        "XPM",
    }
