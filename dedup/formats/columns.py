"""Further columns of a dataset: what samples belong to, and what they are worth."""

import re
from collections.abc import Sequence

from dedup.config import SourceConfig
from dedup.errors import ConfigError, SourceError
from dedup.formats.several import Several
from dedup.formats.source import Source


def groups_of(source: Source, config: SourceConfig) -> list[str | None] | None:
    """The column `dataset.group_column` in the order of the source's rows; None where none is named.

    Of several datasets each names its own: samples of those that name none belong to no group. Raises `SourceError`
    for samples without a group.
    """
    if isinstance(source, Several):
        parts = [groups_of(part.source, part.config) for part in source.parts]
        if all(part is None for part in parts):
            return None
        sizes = [len(part.source.rows) for part in source.parts]
        return [group for part, n in zip(parts, sizes, strict=True) for group in (part or [None] * n)]
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
        parts = [] if match is None else [part for part in match.groups() or (match[0],) if part is not None]
        found.append("/".join(parts) if parts else name)
    if len({*found}) == len(found) > 1:
        message = (
            f"{source.name}: dataset.group_pattern {pattern!r} puts every sample into a group of its own. The first id "
            f"is {source.rows['id'][0].as_py()!r}: what the groups of the pattern find in it is the group's name."
        )
        raise ConfigError(message)
    return found


def values_of(source: Source, column: str) -> list[str | None]:
    """Any column in the order of the source's rows. Of several datasets, those that are references have none."""
    if isinstance(source, Several):
        found: list[str | None] = []
        for part in source.parts:
            reference = part.config.reference
            found += [None] * len(part.source.rows) if reference else values_of(part.source, column)
        return found
    return source.texts(column)


def _refuse_nulls(groups: Sequence[str | None], source: Source, column: str) -> None:
    if None in groups:
        row = groups.index(None)
        message = (
            f"{source.name}: column {column!r} (dataset.group_column) is null in {groups.count(None):,} of "
            f"{len(groups):,} samples, the first is {source.rows['id'][row].as_py()!r} (row {row + 1}). "
            f"Give every sample a group; one that belongs to no other gets one of its own."
        )
        raise SourceError(message)
