"""The settings of a run with every `auto` replaced by a number."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from dedup.config.sections import Config, VerifyConfig
from dedup.config.splits import normal_split
from dedup.errors import ConfigError

AUTO_CAP_PER_64_BITS: Final = 16
"""How far `search.max_distance: auto` goes at the most: 16 of 64 bits, 64 of 256, 256 of 1024.

Why 16 stands in docs/calibration.md: beyond it edited copies hardly come in any more, and chance does.
"""

AUTO_MAX_FALSE_PROBABILITY: Final = 0.1
"""What `verify.max_false_probability: auto` is where no plain limit is set; docs/decisions/0014 says why."""

LEAST_SIMILARITY: Final = 0.8
"""Of thumbnails, the least that a pair needs beside its false probability: strangers of small photos end at 0.65."""

AUTO_MIN_SIMILARITY: Final = 0.87
"""What `verify.min_similarity: auto` is beside another plain limit."""

AUTO_MIN_CLOSE_SIMILARITY: Final = 0.91
"""What `verify.min_close_similarity: auto` is beside another plain limit: below it, pictures are of one scene only."""

AUTO_MIN_THUMBNAIL_SIMILARITY: Final = 0.95
"""What `verify.min_thumbnail_similarity: auto` is beside another plain limit; beside `min_similarity`, that number."""

LIMITS: Final = ("max_false_probability", "min_similarity", "min_close_similarity", "min_thumbnail_similarity")
"""The settings of `verify` that say which candidates are pairs."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """The settings of a run with every `auto` replaced by what it came to."""

    algorithms: tuple[str, ...]
    bits: int  # of each code
    mode: str
    max_distance: dict[str, int]  # bits, inclusive, per algorithm
    combine: str
    orientations: str
    method: str
    min_similarity: float | None  # 0..1, inclusive; None where nothing is verified
    held_out: tuple[str, ...]  # normalised names, sorted
    leakage: str
    duplicates: str
    unreadable: str
    second_look: bool = False
    min_close_similarity: float | None = None  # 0..1, inclusive, where there was a second look
    min_thumbnail_similarity: float | None = None  # 0..1, inclusive, where there was none
    max_false_probability: float | None = None  # 0..1, inclusive; None where nothing is verified
    max_candidates: int = 10_000_000  # the budget that `auto` fills, and the limit of a search
    references: tuple[str, ...] = ()  # splits of reference sets, sorted: held out, and never altered
    max_moved: float | None = None  # share of a split that regroup may move elsewhere, inclusive
    chains: str = "report"
    label_conflicts: str = "report"
    keep_by: str | None = None  # column of the dataset
    keep_order: str = "descending"
    group_column: str | None = None
    lists: dict[str, str] = field(default_factory=dict)  # digest of each list that people made


def resolve(config: Config, splits: Iterable[str | None]) -> Resolved:
    """Replace every `auto` by a number. Depends on the config and the names of the splits only.

    For `search.max_distance` the number is the cap: how far below it the candidates fit the budget is known when the
    codes are (`dedup.stages.candidates.radius`).
    """
    all_splits = set(splits)
    present = {split for split in all_splits if split is not None}
    references = config.dataset.reference_splits(present)
    own = present - references
    distance = config.search.max_distance
    if distance == "auto":
        distance = AUTO_CAP_PER_64_BITS * config.hash.bits // 64
    per_algorithm = distance if isinstance(distance, dict) else dict.fromkeys(config.hash.algorithms, distance)
    verified = config.verify.method == "pixels"
    if config.policy.held_out is not None:
        held_out = {normal_split(name) or name for name in config.policy.held_out} | references
        if unknown := held_out - present:
            message = (
                f"policy.held_out: no sample is in split {', '.join(map(repr, sorted(unknown)))}. "
                f"The dataset has {', '.join(map(repr, sorted(present))) or 'no splits'}. In an image folder, "
                f"dataset.top_folders: splits makes every top folder one."
            )
            raise ConfigError(message)
        if not all_splits - held_out:
            message = "policy.held_out names every split of the dataset: nothing is left to clean."
            raise ConfigError(message)
    else:
        held_out = (own - {"train"} if "train" in own else set()) | references
    return Resolved(
        algorithms=config.hash.algorithms,
        bits=config.hash.bits,
        mode=config.hash.mode,
        max_distance={name: per_algorithm[name] for name in config.hash.algorithms},
        combine=config.search.combine,
        orientations=config.search.orientations,
        method=config.verify.method,
        second_look=verified and config.verify.second_look,
        **(acceptance_limits(config.verify) if verified else dict.fromkeys(LIMITS)),
        held_out=tuple(sorted(held_out)),
        leakage=config.policy.leakage,
        duplicates=config.policy.duplicates,
        unreadable=config.policy.unreadable,
        max_candidates=config.search.max_candidates,
        references=tuple(sorted(references)),
        max_moved=config.policy.max_moved,
        chains=config.policy.chains,
        label_conflicts=config.policy.label_conflicts,
        keep_by=config.policy.keep_by,
        keep_order=config.policy.keep_order,
        group_column=config.dataset.group_column,
    )


def acceptance_limits(verify: VerifyConfig) -> dict[str, float]:
    """The four limits of acceptance by name, each a number.

    Whoever sets a plain limit gets plain limits: the false probability does not count then, unless it is set as well.
    Where it counts, a plain limit that is not set asks for no more than `LEAST_SIMILARITY`.
    """
    asked = {name: getattr(verify, name) for name in LIMITS}
    plain = any(asked[name] != "auto" for name in LIMITS if name != "max_false_probability")
    if plain and asked["max_false_probability"] == "auto":
        similarity = asked["min_similarity"]
        alone = AUTO_MIN_THUMBNAIL_SIMILARITY if similarity == "auto" else similarity
        auto = (1.0, AUTO_MIN_SIMILARITY, AUTO_MIN_CLOSE_SIMILARITY, alone)
    else:
        auto = (AUTO_MAX_FALSE_PROBABILITY, LEAST_SIMILARITY, 0.0, 0.0)
    return {
        name: float(default if asked[name] == "auto" else asked[name])
        for name, default in zip(LIMITS, auto, strict=True)
    }
