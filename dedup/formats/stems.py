"""Names of annotations: the words in them, and what is left of a stem without these."""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

from dedup.formats.split_words import told_by

ANNOTATION_WORDS: Final = frozenset({
    "mask", "masks", "label", "labels", "depth", "depths", "seg", "segs", "segmentation",
    "segmentations", "segmask", "segmentationclass", "segmentationobject", "annotation",
    "annotations", "annot", "anno", "annos", "gt", "gts", "groundtruth", "truth", "matte",
    "mattes", "alpha", "alphas", "trimap", "trimaps", "normals", "flow", "disparity", "heatmap",
    "heatmaps", "saliency", "edges", "manual", "polygons", "instance", "instances", "panoptic",
    "semantic", "semantics", "parsing", "silhouettes", "conditioning",
})  # fmt: skip
"""Words in the names of folders and files that hold what is said of images."""

IMAGE_WORDS: Final = frozenset({
    "image", "images", "img", "imgs", "rgb", "jpegimages", "photo", "photos", "picture", "pictures",
    "frame", "frames", "color", "colour", "original", "originals", "input", "inputs", "jpg", "jpeg",
    "jpgs", "png", "pngs", "raw",
})  # fmt: skip
"""Words in the names of the folders that these go with."""

_OF_CAMVID: Final = "l"
"""The masks of CamVid are called `0001_L.png`."""

_TOGETHER: Final = re.compile(r"(train|val|valid|test)(annot|mask|label|gt|seg)s?")
"""Names such as `trainannot`, in lower case."""


def stem_of(name: str) -> str:
    """A file name without its last suffix, as `os.path.splitext` has it, which takes ten times as
    long.

    >>> stem_of("a.b.png"), stem_of(".png"), stem_of("..png"), stem_of("a.")
    ('a.b', '.png', '..png', 'a')
    """
    stem, dot, _ = name.rpartition(".")
    return stem if dot and stem.strip(".") else name


def stems_of(name: str) -> Iterator[str]:
    """All that an image beside this file may be called, without its suffix: of `a.b.txt` `a.b` and
    `a`.
    """
    while "." in name[1:]:
        name = name[: name.rindex(".")]
        yield name


@lru_cache(maxsize=10_000)  # folders of a million images are asked for again and again
def words_of(name: str) -> frozenset[str]:
    """The words of a name in lower case, at marks and at capitals, and all of its letters together.

    >>> sorted(words_of("gtFine")), sorted(words_of("trainannot"))
    (['fine', 'gt', 'gtfine'], ['annot', 'train', 'trainannot'])
    """
    lower = name.lower()
    together = _TOGETHER.fullmatch(lower)
    of_capitals = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)

    return frozenset(
        {
            *re.split(r"[^a-z]+", lower),
            re.sub(r"[^a-z]", "", lower),
            *(word.lower() for word in of_capitals),
            *(together.groups() if together else ()),
        }
    )


def is_of_annotations(name: str) -> bool:
    """Whether a name says that it holds what is said of images."""
    return not ANNOTATION_WORDS.isdisjoint(words_of(name))


def is_of_images(name: str) -> bool:
    """Whether a name says that it holds images."""
    return not IMAGE_WORDS.isdisjoint(words_of(name))


@lru_cache(maxsize=10_000)
def split_in(name: str) -> str | None:
    """The split that the name of a folder of annotations or images tells of.

    >>> split_in("trainannot"), split_in("Training_GroundTruth"), split_in("masks")
    ('train', 'train', None)
    """
    together = _TOGETHER.fullmatch(name.lower())
    told = told_by(together[1] if together else name)

    return told.split if told else None


def core_of(stem: str, folders: Iterable[str]) -> str:
    """A stem without the words at its end that say what it is: those of annotations and images, and
    the names of the folders it lies in.

    >>> core_of("ulm_3_gtFine_labelIds", ["gtFine", "val"]), core_of("21_manual1", ["1st_manual"])
    ('ulm_3', '21')
    >>> core_of("x_mask_2", []), core_of("mask", []), core_of("cat 7", ["cat"])
    ('x', 'mask', 'cat 7')
    """
    parts = re.split(r"([_\-. ]+)", stem)  # words and, between them, what parts them
    above = {folder.lower() for folder in folders}
    while len(parts) > 2:
        numbered = len(parts) > 4 and parts[-1].isdigit() and is_of_annotations(parts[-3])
        if not numbered and not _says_what(parts[-1], above):
            break
        del parts[-4 if numbered else -2 :]

    return "".join(parts) or stem


def annotated_by(stem: str) -> tuple[str, str] | None:
    """The stem of the image that a file in its own folder is an annotation of, and the word that
    says so; None for other names.

    >>> annotated_by("benign (1)_mask"), annotated_by("x_mask_1"), annotated_by("mask")
    (('benign (1)', 'mask'), ('x', 'mask'), None)
    """
    found = re.fullmatch(r"(.+?)[_\-. ]+([A-Za-z]+)(?:[_\-]?\d+)?", stem)
    if found is None or found[2].lower() not in ANNOTATION_WORDS:
        return None

    return found[1], found[2].lower()


def _says_what(word: str, above: set[str]) -> bool:
    return (
        word.lower() in above
        or word.lower() == _OF_CAMVID
        or is_of_annotations(word)
        or is_of_images(word)
    )
