"""What the members of a sample in a tar file say: id, label, text."""

import re
from pathlib import Path
from typing import Any, BinaryIO, Final

from dedup.config import DatasetConfig
from dedup.errors import SourceError
from dedup.formats.nested import parsed
from dedup.formats.tars import Entry, Member
from dedup.formats.texts import as_text

_LONGEST_TEXT: Final = 1_000_000  # bytes of a label or a JSON file
_TEXTS: Final = ("txt", "text", "caption", "cls")
"""Members that are read as texts when another form is written."""

NUMBERS: Final = re.compile(r"[-_.]?\d*(-of-\d+)?$")


class SaidInTar:
    """What the members beside an image say of it."""

    def __init__(self, file: BinaryIO, entry: Entry, shard: Path) -> None:
        self._file = file
        self._entry = entry
        self._shard = shard
        self._json: Any = None
        self.is_broken = False  # the JSON member was asked for and is not JSON
        self.is_deep = False  # a part of the JSON member was left out

    def label(self, named: str | None) -> str | None:
        """The named member or key of the JSON member; else its `label` or `class`, else the member
        `cls`.
        """
        if named is not None:
            return self.text(named)

        found = next(
            (value for key in ("label", "class") if (value := self._value(key)) is not None), None
        )

        return found if found is not None else self._member("cls")

    def text(self, name: str) -> str | None:
        """The member of that name, or that key of the JSON member."""
        found = self._member(name.lower())
        return found if found is not None else self._value(name)

    def columns(self) -> set[str]:
        """The names of what `text` reads, without reading more than the JSON."""
        return {field for field in _TEXTS if self._entry.member(field) is not None} | (
            self._object() or {}
        ).keys()

    def everything(self) -> dict[str, Any]:
        """The members that are texts, and the keys of the JSON member."""
        texts = {
            field: self._member(field) for field in _TEXTS if self._entry.member(field) is not None
        }
        return texts | (self._object() or {})

    def _member(self, field: str) -> str | None:
        member = self._entry.member(field)
        if member is None:
            return None
        return self._content(member).decode("utf-8", "backslashreplace").rstrip("\r\n") or None

    def _value(self, key: str) -> str | None:
        found = self._object()
        return None if found is None else as_text(found.get(key))

    def _object(self) -> dict[str, Any] | None:
        """What the JSON member holds, if it is an object."""
        member = self._entry.member("json")
        if member is None:
            return None

        if self._json is None:
            try:
                self._json, self.is_deep = parsed(self._content(member))
            except ValueError:
                self._json = False  # says nothing; whoever opens the dataset counts it
                self.is_broken = True

        return self._json if isinstance(self._json, dict) else None

    def _content(self, member: Member) -> bytes:
        return read_member(self._file, member.offset, min(member.size, _LONGEST_TEXT))


def id_in_tar(said: SaidInTar, entry: Entry, config: DatasetConfig, shard: Path) -> str:
    """The id that a sample says of itself; raises `SourceError` where it says none."""
    found = said.text(config.id_column) if config.id_column else None
    if found is None:
        message = (
            f"{shard}: the sample {entry.key!r} has no {config.id_column!r} (dataset.id_column),"
            " nor its JSON."
        )
        raise SourceError(message)

    return found


def read_member(file: BinaryIO, offset: int, size: int) -> bytes:
    """The bytes of a member."""
    file.seek(offset)
    return file.read(size)
