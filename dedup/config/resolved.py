"""The settings of a run with every `auto` replaced by a number."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final

from dedup.config.sections import TOTAL, Config, VerifyConfig
from dedup.config.splits import normal_split
from dedup.errors import ConfigError

AUTO_TOTAL: Final = 41
"""How far `auto` goes in dHash and pHash together, of 128 bits.

On the 60,000 pictures of CIFAR-10 95.6 % of the listed pairs are within it, where 93.2 % are within
16 bits of either.
"""

AUTO_CAP_BESIDE_TOTAL: Final = 14
"""How far `auto` goes in each of them then: what is farther in one is nearly always within the
total, or no copy.
"""

AUTO_CAP_PER_64_BITS: Final = 16
"""How far `search.max_distance: auto` goes at the most: 16 of 64 bits, 64 of 256, 256 of 1024.

Why 16 stands in docs/calibration.md: beyond it edited copies hardly come in any more, and chance
does.
"""

ACCEPTANCE_RULE: Final = 2
"""Version of the rule that gives pairs their false probability (`dedup.policy.acceptance`)."""

SIMILARITY_RULE: Final = 2
"""Version of what is measured of a candidate (`dedup.verify`). Raised by a change that moves
similarities: limits and the rule of acceptance say nothing about those of another version.
"""

AUTO_MAX_FALSE_PROBABILITY: Final = 0.2
"""What `verify.max_false_probability: auto` is where no plain limit is set; docs/decisions/0014
says why.
"""

LEAST_SIMILARITY: Final = 0.87
"""Of thumbnails, the least that a pair needs beside its false probability: strangers of small
photos end at 0.75, and what a closer look accepts below it is wrong too often.
"""

AUTO_MIN_SIMILARITY: Final = 0.9
"""What `verify.min_similarity: auto` is beside another plain limit."""

AUTO_MIN_CLOSE_SIMILARITY: Final = 0.91
"""What `verify.min_close_similarity: auto` is beside another plain limit: below it, pictures are of
one scene only.
"""

AUTO_MIN_THUMBNAIL_SIMILARITY: Final = 0.965
"""What `verify.min_thumbnail_similarity: auto` is beside another plain limit; beside
`min_similarity`, that number.
"""

LIMITS: Final = (
    "max_false_probability",
    "min_similarity",
    "min_close_similarity",
    "min_thumbnail_similarity",
)
"""The settings of `verify` that say which candidates are pairs."""


@dataclass(frozen=True, slots=True)
class HashSpec:
    """Which codes are searched."""

    algorithms: tuple[str, ...]
    bits: int  # of each code
    mode: str


@dataclass(frozen=True, slots=True)
class SearchSpec:
    """Which pairs of codes are candidates."""

    # bits, inclusive, per algorithm, and maybe of all of them together (`TOTAL`)
    max_distance: dict[str, int]
    combine: str
    orientations: str


@dataclass(frozen=True, slots=True)
class VerifySpec:
    """What is measured of the candidates."""

    method: str
    second_look: bool
    similarity_rule: int = SIMILARITY_RULE  # version of what is measured: limits are of its scale


@dataclass(frozen=True, slots=True)
class AcceptanceSpec:
    """Which candidates are pairs; None where nothing is verified."""

    max_false_probability: float | None  # 0..1, inclusive
    min_similarity: float | None  # 0..1, inclusive
    min_close_similarity: float | None  # 0..1, inclusive, where there was a second look
    min_thumbnail_similarity: float | None  # 0..1, inclusive, where there was none
    acceptance_rule: int | None  # version of the rule that gives the false probability
    colour: str = "ignore"


@dataclass(frozen=True, slots=True)
class PartsSpec:
    """Whether parts of pictures are searched, and what a crop is then."""

    parts: str = "off"
    crops: str = "leak"


@dataclass(frozen=True, slots=True)
class SplitSpec:
    """Which splits are kept clean."""

    held_out: tuple[str, ...]  # normalised names, sorted
    references: tuple[str, ...]  # splits of reference sets, sorted: held out, and never altered


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """What is done about pairs."""

    leakage: str
    max_moved: float | None  # share of a split that regroup may move elsewhere, inclusive
    chains: str
    label_conflicts: str
    duplicates: str
    keep_by: str | None  # column of the dataset
    keep_order: str
    unreadable: str
    distinct: str  # image or row; auto until the files are known
    row: str  # any or all of its images must go, so that a row of several goes


@dataclass(frozen=True, slots=True)
class Resolved:
    """The settings of a run with every `auto` replaced by what it resolved to.

    Each part decides the tables from its stage on, by all of its fields (`runs.fingerprints`).
    """

    hash: HashSpec
    search: SearchSpec
    verify: VerifySpec
    acceptance: AcceptanceSpec
    splits: SplitSpec
    policy: PolicySpec
    parts: PartsSpec
    max_candidates: int  # the budget that `auto` fills, and the limit of a search; decides no table
    group_column: str | None = None
    lists: dict[str, str] = field(default_factory=dict)  # digest of each list that people made

    def but(self, **settings: Any) -> "Resolved":
        """The same with other values of some fields, named without their part.

        >>> resolve(Config(), ["train"]).but(combine="all").search.combine
        'all'
        """
        parts: dict[str, Any] = {}

        for name, value in settings.items():
            part = _PART_OF.get(name)
            if part is None:
                parts[name] = value
            else:
                parts[part] = replace(parts.get(part, getattr(self, part)), **{name: value})

        return replace(self, **parts)

    def settings(self) -> dict[str, Any]:
        """All settings by their own names, as `summary.json` has them."""
        flat: dict[str, Any] = {}

        for name, value in asdict(self).items():
            flat |= value if name in _PARTS else {name: value}

        return flat


_PARTS: Final = {
    "hash": HashSpec,
    "search": SearchSpec,
    "verify": VerifySpec,
    "acceptance": AcceptanceSpec,
    "splits": SplitSpec,
    "policy": PolicySpec,
    "parts": PartsSpec,
}
_PART_OF: Final = {
    part_field.name: part for part, spec in _PARTS.items() for part_field in fields(spec)
}


def resolve(config: Config, splits: Iterable[str | None]) -> Resolved:
    """Replace every `auto` by a number. Depends on the config and the names of the splits only.

    For `search.max_distance` the number is the cap: how far below it the candidates fit the budget
    is known when the codes are (`dedup.stages.radius.radius`).
    """
    verified = config.verify.method == "pixels"
    no_limits = AcceptanceSpec(None, None, None, None, None)

    return Resolved(
        hash=HashSpec(config.hash.algorithms, config.hash.bits, config.hash.mode),
        search=SearchSpec(
            max_distance=_distances(config),
            combine=config.search.combine,
            orientations=config.search.orientations,
        ),
        verify=VerifySpec(config.verify.method, verified and config.verify.second_look),
        acceptance=_acceptance(config) if verified else no_limits,
        splits=_splits(config, splits),
        policy=PolicySpec(
            leakage=config.policy.leakage,
            max_moved=config.policy.max_moved,
            chains=config.policy.chains,
            label_conflicts=config.policy.label_conflicts,
            duplicates=config.policy.duplicates,
            keep_by=config.policy.keep_by,
            keep_order=config.policy.keep_order,
            unreadable=config.policy.unreadable,
            distinct=config.policy.distinct,
            row=config.policy.row,
        ),
        parts=PartsSpec(config.search.parts, config.policy.crops),
        max_candidates=config.search.max_candidates,
        group_column=config.dataset.group_column,
    )


def _distances(config: Config) -> dict[str, int]:
    """The distance of each algorithm, in their order, and that of all together, where there is
    one.
    """
    distance = config.search.max_distance
    if distance == "auto":
        distance = _widest(config)

    names = config.hash.algorithms
    per_algorithm = distance if isinstance(distance, dict) else dict.fromkeys(names, distance)
    order = [*names, TOTAL] if TOTAL in per_algorithm else names

    return {name: per_algorithm[name] for name in order}


def _widest(config: Config) -> int | dict[str, int]:
    """How far `auto` may go: in both default hashes, and in both together where either is enough.

    A bare threshold (`verify.method: none`) has no use for pairs that are far away in each of two
    hashes.
    """
    names = set(config.hash.algorithms)
    either = config.search.combine == "any" and config.verify.method == "pixels"
    if either and names == {"dhash", "phash"} and config.hash.bits == 64:
        return {**dict.fromkeys(names, AUTO_CAP_BESIDE_TOTAL), TOTAL: AUTO_TOTAL}

    return AUTO_CAP_PER_64_BITS * config.hash.bits // 64


def acceptance_limits(verify: VerifyConfig) -> dict[str, float]:
    """The four limits of acceptance by name, each a number.

    Whoever sets a plain limit gets plain limits: the false probability does not count then, unless
    it is set as well. Where it counts, a plain limit that is not set asks for no more than
    `LEAST_SIMILARITY`.
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


def _acceptance(config: Config) -> AcceptanceSpec:
    return AcceptanceSpec(
        **acceptance_limits(config.verify),
        acceptance_rule=ACCEPTANCE_RULE,
        colour=config.verify.colour,
    )


def _splits(config: Config, splits: Iterable[str | None]) -> SplitSpec:
    """Which splits are held out: those named, or every split but train; references always are."""
    all_splits = set(splits)
    present = {split for split in all_splits if split is not None}
    references = config.dataset.reference_splits(present)
    own = present - references

    if config.policy.held_out is None:
        held_out = (own - {"train"} if "train" in own else set()) | references
    else:
        held_out = {normal_split(name) or name for name in config.policy.held_out} | references
        _refuse_splits(held_out, present, all_splits)

    return SplitSpec(tuple(sorted(held_out)), tuple(sorted(references)))


def _refuse_splits(held_out: set[str], present: set[str], all_splits: set[str | None]) -> None:
    """Raise `ConfigError` for held-out splits that the dataset does not have, or that are all it
    has.
    """
    if unknown := held_out - present:
        message = (
            f"policy.held_out: no sample is in split {', '.join(map(repr, sorted(unknown)))}. The"
            f" dataset has {', '.join(map(repr, sorted(present))) or 'no splits'}. In an image"
            " folder, dataset.top_folders: splits makes every top folder one, and"
            " dataset.split_folders names folders at any depth."
        )
        raise ConfigError(message)

    if not all_splits - held_out:
        message = "policy.held_out names every split of the dataset: nothing is left to clean."
        raise ConfigError(message)
