"""Splits of one pool: first by chance and label, then moved so that what belongs together is in one
split.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from math import isclose
from typing import Any

from dedup import pipeline
from dedup.clock import Observer
from dedup.config import build, normal_split
from dedup.errors import ConfigError, SourceError
from dedup.formats import open_source
from dedup.formats.pool import WRITTEN_AS, Pool
from dedup.runs.result import Run


def read_shares(text: str) -> dict[str, float]:
    """The shares of the splits, from what is written on the command line.

    >>> read_shares("train=0.8, test=0.2")
    {'train': 0.8, 'test': 0.2}
    """
    problems: list[str] = []
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, equals, share = (piece.strip() for piece in part.partition("="))
        try:
            value = float(share)
        except ValueError:
            value = -1.0
        if not equals or not name.isidentifier() or not 0 < value < 1:
            problems.append(
                f"--to: {part.strip()!r} is not a split and its share, as in train=0.8."
            )
        elif normal_split(name) in map(normal_split, shares):
            problems.append(f"--to: the split {name!r} is named twice.")
        shares[name] = value

    if not problems and not isclose(sum(shares.values()), 1, abs_tol=1e-6):
        problems.append(f"--to: the shares add up to {sum(shares.values()):g}; they must to 1.")
    if not problems and (len(shares) == 1 or "train" not in shares):
        problems.append(f"--to: name train and at least one other split; got {', '.join(shares)}.")
    if problems:
        raise ConfigError(*problems)

    return shares


def assigned(
    ids: Sequence[str], labels: Sequence[str | None], shares: Mapping[str, float], seed: int
) -> list[str]:
    """A split for each sample, each label spread as the shares say; which sample goes where follows
    from its id.

    Of each label the numbers are rounded so that none is off by more than one, and the rests go on
    to the next label: ten labels of three samples have some in every split.
    """
    members: dict[str | None, list[int]] = defaultdict(list)
    for k in sorted(range(len(ids)), key=lambda k: (_shuffled(ids[k], seed), ids[k])):
        members[labels[k]].append(k)

    found = [""] * len(ids)
    owed = dict.fromkeys(shares, 0.0)
    for label in sorted(members, key=lambda label: (label is None, label or "")):
        for k in members[label]:
            for name, share in shares.items():
                owed[name] += share
            split = max(owed, key=lambda name: (owed[name], name == "train"))
            owed[split] -= 1
            found[k] = split

    return found


def _shuffled(sample: str, seed: int) -> bytes:
    """A number at random that only the id and the seed decide."""
    return blake2b(
        sample.encode("utf-8", "surrogateescape"), digest_size=8, salt=str(seed).encode()[:16]
    ).digest()


def run(
    source: str,
    shares: Mapping[str, float],
    seed: int,
    *,
    overrides: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    observer: Observer | None = None,
    overwrite: bool = False,
) -> Run:
    """Split the dataset at `source`; the splits are in the folder of the run, certified. Raises
    `SourceError`.
    """
    settings: dict[str, Any] = {
        "dataset": {"path": source},
        "policy": {"leakage": "regroup", "max_moved": 1.0},
    }
    opened = open_source(build(settings, overrides, options, where="split").dataset)
    form = WRITTEN_AS.get(opened.form, "imagefolder")
    config = build(settings, overrides, {"output.splits": form, **(options or {})}, where="split")
    there = sorted(filter(None, opened.rows["split"].unique().to_pylist()))
    if len(there) > 1:
        message = f"split: {source!r} has splits already: {', '.join(there)}. Give one pool."
        raise SourceError(message)

    ids, labels = opened.rows["id"].to_pylist(), opened.rows["label"].to_pylist()
    pool = Pool(opened, assigned(ids, labels, shares, seed))

    return pipeline.run(config, pool, observer=observer, overwrite=overwrite)
