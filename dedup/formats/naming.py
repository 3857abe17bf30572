"""Which images a line, or a cell of a table, names: by the end of their path, or by a folder."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from dedup.formats.listing import Parts
from dedup.formats.stems import stem_of

_MARKS: Final = (" ", "\t", ",", ";")
"""What may stand between the name of an image and its label."""


class Places:
    """Images by what a text may call them: the end of their path, with its suffix or without, or
    that of a folder around them.
    """

    def __init__(self, images: Iterable[Parts]) -> None:
        self._of_name: dict[str, list[Parts]] = defaultdict(list)
        self._of_folder: dict[str, dict[Parts, list[Parts]]] = defaultdict(dict)
        for parts in images:
            self._of_name[parts[-1]].append(parts)
            self._of_name[stem_of(parts[-1])].append(parts)
            for depth in range(1, len(parts)):
                folder = parts[:depth]
                self._of_folder[folder[-1]].setdefault(folder, []).append(parts)

    def find(self, text: str) -> tuple[Parts, ...]:
        """The only image whose path ends like a text, or that a longer path ends like."""
        names = _names(text)
        found = [parts for parts in self._of_name.get(names[-1], ()) if _ends_alike(parts, names)]

        return tuple(found) if len(found) == 1 else ()

    def below(self, text: str) -> tuple[Parts, ...]:
        """The images below the folders whose path ends like a text, with a suffix or without:
        frames of the video `Run/v_1.avi` are in the folder `Run/v_1`.
        """
        names = _names(text)
        for last in (names[-1], stem_of(names[-1])):
            folders = self._of_folder.get(last, {})
            called = (*names[:-1], last)
            alike = [folder for folder in folders if _ends_alike(folder, called)]
            if folders:  # the video may have been elsewhere
                return tuple(parts for folder in alike or folders for parts in folders[folder])

        return ()

    def named_in(self, line: str) -> tuple[Parts, ...]:
        """The images that a line names: all of it, or what stands before a label."""
        text = line.strip()
        written = [text, *(text.partition(mark)[0] for mark in _MARKS)]
        for find in (self.find, self.below):
            for part in written:
                if part and (images := find(part.strip("\"'"))):
                    return images

        return ()


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name for name in text.replace("\\", "/").split("/") if name not in {"", "."})
    return names if names and ".." not in names else ("",)


def _ends_alike(parts: Parts, names: Parts) -> bool:
    return all(a == b for a, b in zip(names[-2::-1], parts[-2::-1], strict=False))
