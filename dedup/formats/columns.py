"""Further columns of a dataset: what samples belong to, and what they are worth."""

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from dedup.config import SourceConfig
from dedup.errors import ConfigError, SourceError
from dedup.formats.several import Several
from dedup.formats.source import Source
from dedup.tables.drawn import BOXES

ANNOTATIONS: Final = frozenset({
    "question", "questions", "query", "instruction", "prompt", "answer", "answers", "response",
    "output", "caption", "captions", "text", "texts", "txt", "description", "conversation",
    "conversations", "messages", "qa", "dialog",
})  # fmt: skip
"""Columns that say something of an image, in lower case; never what names or counts it: url, path,
id, index.
"""

_DIGEST_BYTES: Final = 6  # tells the texts of one image apart


def groups_of(source: Source, config: SourceConfig) -> list[str | None] | None:
    """The column `dataset.group_column` in the order of the source's rows; None where none is
    named.

    Of several datasets each names its own: samples of those that name none belong to no group.
    Raises `SourceError` for samples without a group.
    """
    if isinstance(source, Several):
        parts = [groups_of(part.source, part.config) for part in source.parts]
        if all(part is None for part in parts):
            return None
        sizes = [len(part.source.rows) for part in source.parts]
        return [group for part, n in zip(parts, sizes, strict=True) for group in part or [None] * n]

    if config.group_pattern is not None:
        return _of_names(source, config.group_pattern)
    if config.group_column is None:
        return None

    groups = source.texts(config.group_column)
    _refuse_nulls(groups, source, config.group_column)

    return groups


def _of_names(source: Source, pattern: str) -> list[str | None]:
    """What the pattern finds in each id: its groups joined, or all of it where it has none.

    An id in which it finds nothing is a group of its own.
    """
    compiled = re.compile(pattern)
    found: list[str | None] = []
    for name in source.rows["id"].to_pylist():
        match = compiled.search(name)
        parts = (
            []
            if match is None
            else [part for part in match.groups() or (match[0],) if part is not None]
        )
        found.append("/".join(parts) if parts else name)

    if len({*found}) == len(found) > 1:
        message = (
            f"{source.name}: dataset.group_pattern {pattern!r} puts every sample into a group of"
            f" its own. The first id is {source.rows['id'][0].as_py()!r}: what the groups of the"
            " pattern find in it is the group's name."
        )
        raise ConfigError(message)

    return found


def values_of(source: Source, column: str) -> list[str | None]:
    """Any column in the order of the source's rows. Of several datasets, those that are references
    have none.
    """
    if isinstance(source, Several):
        found: list[str | None] = []
        for part in source.parts:
            reference = part.config.reference
            found += [None] * len(part.source.rows) if reference else values_of(part.source, column)
        return found
    return source.texts(column)


def image_rows_of(source: Source) -> list[str | None] | None:
    """The row of each sample, where a row can have several images; None where each is a row."""
    if isinstance(source, Several):
        parts = [image_rows_of(part.source) for part in source.parts]
        if all(part is None for part in parts):
            return None
        return [
            None if row is None else f"{part.prefix}/{row}"
            for part, rows in zip(source.parts, parts, strict=True)
            for row in rows or [None] * len(part.source.rows)
        ]

    found: Sequence[str] | None = getattr(source, "image_rows", None)

    return None if found is None else list(found)


def _refuse_nulls(groups: Sequence[str | None], source: Source, column: str) -> None:
    if None in groups:
        row = groups.index(None)
        message = (
            f"{source.name}: column {column!r} (dataset.group_column) is null in"
            f" {groups.count(None):,} of {len(groups):,} samples, the first is"
            f" {source.rows['id'][row].as_py()!r} (row {row + 1}). Give every sample a group; one"
            " that belongs to no other gets one of its own."
        )
        raise SourceError(message)


def distinct_of(source: Source, named: Sequence[str]) -> list[str | None] | None:
    """What each row says of its image, in the order of the source's rows: `column=digest` of the
    named columns.

    With none named, of the columns that are annotations by their name, else the boxes where
    annotations draw some; None where there is neither. Raises `ConfigError` for a named column that
    is not there.
    """
    if isinstance(source, Several):
        return _distinct_of_several(source, named)

    columns = list(named) or [name for name in source.columns() if name.lower() in ANNOTATIONS]
    if unknown := [name for name in named if name not in source.columns()]:
        known = ", ".join(map(repr, source.columns())) or "no columns"
        message = (
            f"policy.distinct_columns: {source.name} has no column {unknown[0]!r}. It has {known}."
        )
        raise ConfigError(message)

    if not columns:
        return _boxes_of(source)

    texts = [source.texts(column) for column in columns]

    return [" ".join(map(_said, columns, row)) for row in zip(*texts, strict=True)]


def _boxes_of(source: Source) -> list[str | None] | None:
    """`boxes=` and all boxes of each row whose annotations draw some."""
    boxes: Sequence[str | None] | None = getattr(source, BOXES, None)
    if boxes is None:
        return None

    return [f"{BOXES}={drawn}" if drawn is not None else None for drawn in boxes]


def _said(column: str, text: str | None) -> str:
    """One value, short."""
    digest = "" if text is None else blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest()

    return f"{column.replace(' ', '_').replace('=', '_')}={digest}"


def _distinct_of_several(source: Several, named: Sequence[str]) -> list[str | None] | None:
    parts = [
        distinct_of(part.source, () if part.config.reference else named) for part in source.parts
    ]
    if all(part is None for part in parts):
        return None

    sizes = [len(part.source.rows) for part in source.parts]

    return [text for part, n in zip(parts, sizes, strict=True) for text in part or [None] * n]
