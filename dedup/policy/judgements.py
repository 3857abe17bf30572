"""Lists that people make: pairs that are no duplicates, pairs that are, and ids to keep where there
is a choice.

A list is a CSV with a header, `id_a,id_b` for pairs or `id` for ids; further columns, such as a
note, are for people. What a person says of two samples holds for the pictures that they show, so
for identical copies of them too.
"""

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import pyarrow as pa

from dedup import tables
from dedup.config import Config
from dedup.errors import ConfigError
from dedup.policy.record import DIFFERENT, GUARD, SAME, Record, digest, in_force

_SHOWN: Final = 10  # problems of one sort that are named

JUDGEMENTS: Final = "judgements"
"""The record of a run's review among the digests of lists."""

Pair = tuple[bytes, bytes]
"""Two pixel digests, the lower first."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a list."""

    ids: tuple[str, ...]  # one, or two in sorted order
    where: str  # file and row, for messages


@dataclass(frozen=True, slots=True)
class Lists:
    """What the lists of a config say, by id, and what was judged in the review of the run."""

    allow: tuple[Entry, ...] = ()
    deny: tuple[Entry, ...] = ()
    prefer: tuple[Entry, ...] = ()
    record: Record = ()

    def digests(self) -> dict[str, str]:
        """By list that says anything, the SHA-256 of what it says: order of pairs and notes do not
        count.
        """
        pairs = {
            name: sorted(e.ids for e in entries)
            for name, entries in (("not_duplicates", self.allow), ("duplicates", self.deny))
        }
        content: dict[str, Sequence[tuple[str, ...]]] = {
            **pairs,
            "prefer": [e.ids for e in self.prefer],
        }
        of_lists = {
            f"{name}_list": hashlib.sha256(json.dumps(ids).encode()).hexdigest()
            for name, ids in content.items()
            if ids
        }
        judged = digest(self.record)

        return of_lists if judged is None else {**of_lists, JUDGEMENTS: judged}


@dataclass(frozen=True, slots=True)
class Judged:
    """What the lists say of pictures, known by their pixel digests: it holds wherever these
    pictures are.
    """

    allowed: frozenset[Pair] = frozenset()
    denied: frozenset[Pair] = frozenset()
    preferred: tuple[int, ...] = field(default=())  # samples, the most preferred first
    record: Record = ()  # rows of the review; what they say is in the two sets
    n_over_lists: int = 0  # rows of the record that contradict a list, and hold


NOT_JUDGED: Final = Judged()


def read_lists(config: Config) -> Lists:
    """The lists that the config names. Raises `ConfigError` with every problem in them that needs
    no dataset to see.
    """
    policy, problems = config.policy, list[str]()
    allow = _read("not_duplicates_list", policy.not_duplicates_list, ("id_a", "id_b"), problems)
    deny = _read("duplicates_list", policy.duplicates_list, ("id_a", "id_b"), problems)
    prefer = _read("prefer_list", policy.prefer_list, ("id",), problems)
    places = {entry.ids: entry.where for entry in allow}
    both = [
        f"{entry.where}: {_named(entry)} are said to be duplicates, and at {places[entry.ids]} to"
        " be none."
        for entry in deny
        if entry.ids in places
    ]
    problems += _first(both, "more pairs are on both lists.")
    if problems:
        raise ConfigError(*problems)

    return Lists(tuple(allow), tuple(deny), tuple(prefer))


def places(lists: Lists, manifest: pa.Table) -> dict[str, int]:
    """The sample of each id on the lists. Raises `ConfigError` for ids that the dataset does not
    have.
    """
    entries = [*lists.allow, *lists.deny, *lists.prefer]
    if not entries:
        return {}

    names = list({name: None for entry in entries for name in entry.ids})
    found = tables.places(manifest["id"], pa.array(names, pa.string())).to_pylist()
    sample_of = dict(zip(names, found, strict=True))
    unknown = [
        f"{entry.where}: the dataset has no sample {name!r}."
        for entry in entries
        for name in entry.ids
        if sample_of[name] is None
    ]
    if unknown:
        raise ConfigError(
            *_first(unknown, "more ids are not in the dataset. Take them out, or correct them.")
        )

    return sample_of


def judge(lists: Lists, manifest: pa.Table, hashes: pa.Table) -> Judged:
    """What the lists say of the pictures of a dataset.

    Raises `ConfigError` for ids that it does not have, for pictures with the same pixels said to be
    no duplicates, and for contradictions between identical copies. Samples that cannot be read are
    passed over.
    """
    sample_of = places(lists, manifest)
    if not sample_of:
        return _recorded(NOT_JUDGED, lists.record)

    digests = hashes["pixel_digest"].take(pa.array(sample_of.values(), pa.int64())).to_pylist()
    digest_of = dict(zip(sample_of, digests, strict=True))
    allowed, denied = _pictures(lists.allow, digest_of), _pictures(lists.deny, digest_of)
    problems = [
        f"{entry.where}: {_named(entry)} show the same pixels, so they are duplicates whatever a"
        " list says. Take the pair out; to keep both, set policy.duplicates or policy.leakage to"
        " report_only."
        for pair, entry in allowed.items()
        if pair[0] == pair[1]
    ]
    problems += [
        f"{denied[pair].where}: {_named(denied[pair])} are said to be duplicates;"
        f" {allowed[pair].where} says of {_named(allowed[pair])}, which show the same two pictures,"
        " that they are none."
        for pair in sorted(allowed.keys() & denied.keys())
    ]
    if problems:
        raise ConfigError(*_first(problems, "more pairs cannot be."))

    preferred = tuple(sample_of[entry.ids[0]] for entry in lists.prefer)
    listed = Judged(frozenset(allowed), frozenset(denied), preferred)

    return _recorded(listed, lists.record)


def _recorded(listed: Judged, record: Record) -> Judged:
    """With what was judged in the review: it is about pictures, and made with them in view, so it
    holds where a list says otherwise.
    """
    if not record:
        return listed

    of = {
        verdict: {pair for pair, row in in_force(record).items() if row.verdict == verdict}
        for verdict in (SAME, DIFFERENT)
    }
    over = (of[SAME] & listed.allowed) | (of[DIFFERENT] & listed.denied)

    return replace(
        listed,
        allowed=(listed.allowed - of[SAME]) | of[DIFFERENT],
        denied=(listed.denied - of[DIFFERENT]) | of[SAME],
        record=record,
        n_over_lists=len(over),
    )


def _read(key: str, path: str | None, columns: tuple[str, ...], problems: list[str]) -> list[Entry]:
    if path is None:
        return []

    entries: list[Entry] = []
    found: list[str] = []
    try:
        with Path(path).expanduser().open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            header = rows.fieldnames or []
            if missing := [column for column in columns if column not in header]:
                problems.append(
                    f"policy.{key}: {path}: no column {missing[0]!r} in the header"
                    f" ({', '.join(header) or 'empty'}). Begin the file with the line"
                    f" {','.join(columns)!r}."
                )
                return []
            for row, record in enumerate(rows, start=1):
                where = f"policy.{key}: {path}, row {row}"
                ids = tuple(sorted(GUARD.sub("", record[column] or "") for column in columns))
                if "" in ids:
                    found.append(
                        f"{where}: {columns[0] if len(columns) == 1 else 'id_a or id_b'} is empty."
                    )
                elif len(set(ids)) < len(columns):
                    found.append(f"{where}: {ids[0]!r} is paired with itself.")
                else:
                    entries.append(Entry(ids, where))
    except (OSError, ValueError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        problems.append(f"policy.{key}: {path!r} cannot be read: {reason}.")
        return []

    found += list(_repeated(entries))
    problems += _first(found, f"more rows of {path} are wrong.")

    return entries


def _repeated(entries: Sequence[Entry]) -> Iterator[str]:
    seen: dict[tuple[str, ...], Entry] = {}
    for entry in entries:
        if entry.ids in seen:
            yield (
                f"{entry.where}: {_named(entry)} stand there already,"
                f" {seen[entry.ids].where.rpartition(', ')[2]}."
            )
        else:
            seen[entry.ids] = entry


def _pictures(entries: Sequence[Entry], digest_of: dict[str, bytes | None]) -> dict[Pair, Entry]:
    found: dict[Pair, Entry] = {}
    for entry in entries:
        a, b = (digest_of[name] for name in entry.ids)
        if a is not None and b is not None:
            found.setdefault((min(a, b), max(a, b)), entry)

    return found


def _named(entry: Entry) -> str:
    return " and ".join(map(repr, entry.ids))


def _first(problems: Sequence[str], more: str) -> list[str]:
    shown = list(problems[:_SHOWN])
    return (
        shown if len(problems) <= _SHOWN else [*shown, f"… and {len(problems) - _SHOWN:,} {more}"]
    )
