"""What names the splits and classes of a YOLO dataset: a YAML file, or a `.data` file of Darknet
with its names.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from dedup.config import read_yaml
from dedup.errors import SourceError, because
from dedup.formats.labels import joined
from dedup.formats.placing import write_new
from dedup.paths import exists, is_file, make_folder
from dedup.tables.drawn import Box, boxes_as_text

NAMES: Final = ("data.yaml", "data.yml")
"""Names that say by themselves that a folder is a YOLO dataset."""

_DARKNET: Final = ".data"

_OTHER_ROOTS: Final = ("data/", "build/darknet/x64/data/")
"""What paths in Darknet's files begin with: they are relative to the folder of the program, not to
the file.
"""


def read_description(path: Path) -> dict[str, Any]:
    """Keys such as `train`, `val` and `names`."""
    try:
        if path.suffix == _DARKNET:
            return _of_darknet(path)
        content = read_yaml(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        message = f"{path}: cannot be read as YAML: it is nested too deeply."
        raise SourceError(message) from error
    except (yaml.YAMLError, ValueError, OSError) as error:
        message = f"{path}: cannot be read as YAML: {because(error)}."
        raise SourceError(message) from error

    if not isinstance(content, dict):
        message = (
            f"{path}: expected keys such as 'train' and 'names', got {type(content).__name__}."
        )
        raise SourceError(message)

    return content


def _of_darknet(path: Path) -> dict[str, Any]:
    """`key = value` lines; the names of the classes are in a file of their own."""
    content: dict[str, Any] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.lstrip().startswith("#"):
            content[key.strip()] = value.strip()

    for key in ("train", "valid", "val", "test", "names"):
        if content.get(key):
            content[key] = nearest(path.parent, content[key])

    if isinstance(content.get("names"), str):
        names = path.parent / content["names"]
        if is_file(names):
            lines = names.read_text(encoding="utf-8", errors="backslashreplace").splitlines()
            content |= {
                "names": [line.strip() for line in lines if line.strip()],
                _NAMES_FILE: content["names"],
            }
        else:
            del content["names"]

    return content


_NAMES_FILE: Final = "names file"
"""Where the names of Darknet's classes are; no key of any file has a blank in it."""


def nearest(folder: Path, text: str) -> str:
    """The path as it is, or without what Darknet puts before it, whichever there is."""
    for start in ("", *_OTHER_ROOTS):
        if text.startswith(start) and exists(folder / text.removeprefix(start)):
            return text.removeprefix(start)
    return text


def names_files(path: Path, content: Mapping[str, Any]) -> Iterator[Path]:
    """The file with the names of the classes, where they have one of their own."""
    if _NAMES_FILE in content:
        yield path.parent / content[_NAMES_FILE]


def write_description(folder: Path, original: Path, root: Path, content: Mapping[str, Any]) -> None:
    """Write the description at its place below `folder`, with what `content` has."""
    if original.suffix != _DARKNET:
        text = yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True)
        name = original.name if original.parent == root else NAMES[0]
        write_new(folder / name, text)
        return

    names = content.get("names") or []
    values = {key: value for key, value in content.items() if key != _NAMES_FILE}
    if _NAMES_FILE in content:
        values["names"] = content[_NAMES_FILE]
        (folder / content[_NAMES_FILE]).parent.mkdir(parents=True, exist_ok=True)
        write_new(folder / content[_NAMES_FILE], "".join(f"{name}\n" for name in names))

    lines = [f"{key} = {value}\n" for key, value in values.items()]
    write_new(folder / original.name, "".join(lines))


def with_slashes(line: str, root: Path) -> str:
    """A line with `/` where it has the backslashes of Windows, which are part of a name
    elsewhere.
    """
    return line if os.path.lexists(root / line) else line.replace("\\", "/")


def label_file(image: Path) -> Path:
    """`images/…/x.jpg` has its labels in `labels/…/x.txt`; elsewhere they are beside the image."""
    parts = list(image.parts)
    if "images" in parts[:-1]:
        parts[len(parts) - 2 - parts[-2::-1].index("images")] = "labels"
    return Path(*parts).with_suffix(".txt")


def class_names(content: Mapping[str, Any], name: str) -> dict[str, str]:
    """The names of the classes by their numbers, as texts."""
    names = content.get("names")
    if names is not None and not isinstance(names, list | dict):
        message = f"{name}: names: expected a list, or numbers with names, got {names!r}."
        raise SourceError(message)

    pairs = enumerate(names or ()) if not isinstance(names, dict) else names.items()

    return {str(number): str(text) for number, text in pairs}


def said_boxes(path: Path, names: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The label and the boxes of a label file; the first number of each line is a class."""
    lines = label_lines(path)
    if lines is None:  # an image without labels shows nothing that is named
        return None, None

    rows = [line.split() for line in lines if line.strip()]
    label = joined([names.get(number, number) for number in {row[0] for row in rows}])
    if any(len(row) != _N_OF_BOX for row in rows):  # outlines and poses are not compared
        return label, None

    return label, boxes_as_text(
        _edges(names.get(row[0], row[0]), *map(float, row[1:])) for row in rows
    )


_N_OF_BOX: Final = 5  # numbers in the line of a box: class, centre, size


def _edges(name: str, x: float, y: float, width: float, height: float) -> Box:
    return name, x - width / 2, y - height / 2, x + width / 2, y + height / 2


def label_lines(path: Path) -> list[str] | None:
    """The lines of a label file; None for one that is not there, or that holds anything but
    numbers.

    Whatever else lies where labels should be, a link to a key perhaps, is neither read into a label
    nor carried along.
    """
    try:
        if not path.is_file():
            return None
        lines = path.read_bytes()[:_LONGEST_LABELS].decode("ascii").splitlines()
        for line in lines:
            for number in line.split():
                float(number)
    except (OSError, ValueError):
        return None
    return lines


_LONGEST_LABELS: Final = 100_000_000  # bytes, more than the labels of any picture


def write_list(path: Path, images: Sequence[Path]) -> None:
    """Write a list of images, a path a line."""
    make_folder(path.parent)
    lines = [os.path.relpath(image, path.parent) for image in images]
    lines = [f"./{line}\n" if not line.startswith("..") else f"{line}\n" for line in lines]
    write_new(path, os.fsencode("".join(lines)))
