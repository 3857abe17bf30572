"""The sections of the configuration, one class each; the defaults stand here and nowhere else."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StrictFloat, StrictInt
from pydantic import model_validator as check

from dedup.config.dataset import DatasetConfig
from dedup.config.names import ALGORITHMS, DUPLICATES, WRITTEN, width_problem
from dedup.config.values import (
    Count,
    Section,
    Share,
    as_max_distance,
    as_names,
    as_similarity,
    as_switch,
    distinct,
    member_of,
    one_of,
)

LISTS: Final = ("not_duplicates_list", "duplicates_list", "prefer_list")
"""Keys of `policy` that name files with what people judged."""

OLD_LISTS: Final = {"allow_list": "not_duplicates_list", "deny_list": "duplicates_list"}
"""Names that two of them had before, which are read all the same."""
TOTAL: Final = "total"
"""In `search.max_distance`, beside the algorithms: the distances of all of them added up."""


class HashConfig(Section):
    """What is measured on every picture."""

    algorithms: Annotated[
        tuple[Annotated[str, member_of("hash.algorithms", ALGORITHMS)], ...],
        BeforeValidator(as_names),
        Field(min_length=1),
        AfterValidator(distinct),
    ] = ("dhash", "phash")
    bits: Literal[64, 256, 1024] = 64
    mode: Annotated[Literal["fast", "compat"], one_of("hash.mode", "fast", "compat")] = "fast"
    background: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")] = "#ffffff"
    max_pixels: Count = 100_000_000

    @check(mode="after")
    def _width_is_there(self) -> Self:
        for algorithm in self.algorithms:
            if problem := width_problem(algorithm, self.bits):
                message = f"hash.bits: {problem}"
                raise ValueError(message)
        return self


class SearchConfig(Section):
    """How far candidates may lie apart."""

    max_distance: Annotated[
        Literal["auto"] | int | dict[str, int], BeforeValidator(as_max_distance)
    ] = "auto"
    combine: Annotated[Literal["any", "all"], one_of("search.combine", "any", "all")] = "any"
    orientations: Annotated[
        Literal["upright", "mirrored", "all"],
        one_of("search.orientations", "upright", "mirrored", "all"),
    ] = "upright"
    max_candidates: Count = 10_000_000
    parts: Annotated[
        Literal["off", "on"], one_of("search.parts", "off", "on"), BeforeValidator(as_switch)
    ] = "off"


class VerifyConfig(Section):
    """Which candidates are accepted as pairs."""

    method: Annotated[Literal["pixels", "none"], one_of("verify.method", "pixels", "none")] = (
        "pixels"
    )
    max_false_probability: Annotated[Literal["auto"] | float, BeforeValidator(as_similarity)] = (
        "auto"
    )
    min_similarity: Annotated[Literal["auto"] | float, BeforeValidator(as_similarity)] = "auto"
    second_look: bool = True
    min_close_similarity: Annotated[Literal["auto"] | float, BeforeValidator(as_similarity)] = (
        "auto"
    )
    min_thumbnail_similarity: Annotated[Literal["auto"] | float, BeforeValidator(as_similarity)] = (
        "auto"
    )
    colour: Annotated[
        Literal["ignore", "must_agree"], one_of("verify.colour", "ignore", "must_agree")
    ] = "ignore"

    @check(mode="after")
    def _colours_are_seen(self) -> Self:
        if self.colour == "must_agree" and (self.method == "none" or not self.second_look):
            message = (
                "verify.colour: must_agree needs verify.method: pixels and verify.second_look:"
                " true. Thumbnails are grey, so colours are known only of pictures that are decoded"
                " again"
            )
            raise ValueError(message)
        return self


class PolicyConfig(Section):
    """What is done about pairs."""

    held_out: Annotated[tuple[str, ...] | None, BeforeValidator(as_names)] = None
    leakage: Annotated[
        Literal["drop_from_train", "drop_from_held_out", "regroup", "report_only"],
        one_of("policy.leakage", "drop_from_train", "drop_from_held_out", "regroup", "report_only"),
    ] = "drop_from_train"
    max_moved: Share = 0.25
    chains: Annotated[Literal["report", "drop"], one_of("policy.chains", "report", "drop")] = (
        "report"
    )
    label_conflicts: Annotated[
        Literal["report", "drop", "drop_all"],
        one_of("policy.label_conflicts", "report", "drop", "drop_all"),
    ] = "report"
    duplicates: Annotated[str, member_of("policy.duplicates", DUPLICATES)] = "keep_best"
    keep_by: str | None = None
    keep_order: Annotated[
        Literal["descending", "ascending"], one_of("policy.keep_order", "descending", "ascending")
    ] = "descending"
    distinct: Annotated[
        Literal["auto", "image", "row"], one_of("policy.distinct", "auto", "image", "row")
    ] = "auto"
    distinct_columns: Annotated[tuple[str, ...], BeforeValidator(as_names)] = ()
    row: Annotated[Literal["any", "all"], one_of("policy.row", "any", "all")] = "any"
    crops: Annotated[
        Literal["leak", "duplicate", "report"],
        one_of("policy.crops", "leak", "duplicate", "report"),
    ] = "leak"
    prefer_list: str | None = None
    not_duplicates_list: str | None = None
    duplicates_list: str | None = None
    unreadable: Annotated[
        Literal["drop_from_train", "drop", "keep"],
        one_of("policy.unreadable", "drop_from_train", "drop", "keep"),
    ] = "drop_from_train"

    @check(mode="after")
    def _fit_together(self) -> Self:
        if self.duplicates == "keep_by" and self.keep_by is None:
            message = "duplicates is 'keep_by', but keep_by names no column of the dataset"
            raise ValueError(message)

        if self.duplicates != "keep_by" and self.keep_by is not None:
            message = f"keep_by names {self.keep_by!r}; set duplicates: keep_by to use it"
            raise ValueError(message)

        if self.chains == "drop" and self.leakage == "report_only":
            message = (
                "chains: drop does not go with leakage: report_only, which leaves what chains"
                " lead to"
            )
            raise ValueError(message)

        return self


class GateConfig(Section):
    """When the exit code says that the dataset is not fit for use."""

    max_leakage: Share = None
    max_unreadable: Share = None
    certified: StrictBool = False
    max_uncompared: Annotated[StrictInt, Field(ge=0)] = 0
    allow_nothing: StrictBool = False


class OutputConfig(Section):
    """Where the result goes. No part of the fingerprint."""

    dir: str | None = None
    splits: Annotated[str, member_of("output.splits", WRITTEN)] = "same"
    files: Annotated[
        Literal["hardlink", "copy", "symlink"],
        one_of("output.files", "hardlink", "copy", "symlink"),
    ] = "hardlink"
    push_to_hub: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    report: StrictBool = True


class EngineConfig(Section):
    """Where the work runs. No part of the fingerprint."""

    kind: Annotated[Literal["processes", "ray"], one_of("engine.kind", "processes", "ray")] = (
        "processes"
    )
    address: str | None = None
    workers: Annotated[StrictInt | None, Field(ge=0)] = None
    timeout: Annotated[StrictInt | StrictFloat | None, Field(gt=0)] = 60
    memory: Count | None = 4_000_000_000
    memory_total: Count | None = None

    @check(mode="after")
    def _address_is_used(self) -> Self:
        if self.address is not None and self.kind != "ray":
            message = f"address is {self.address!r}; set kind: ray to use it"
            raise ValueError(message)
        return self


class CacheConfig(Section):
    """Where measures are kept for other runs. No part of the fingerprint."""

    folder: str | None = "auto"
    trust: Annotated[
        Literal["size_and_time", "content"], one_of("cache.trust", "size_and_time", "content")
    ] = "size_and_time"
    max_bytes: Count = 20_000_000_000


def distance_problem(hashes: HashConfig, search: SearchConfig) -> str | None:
    """What is wrong between the distances and the codes, if anything."""
    distance = search.max_distance
    if isinstance(distance, dict):
        if set(distance) - {TOTAL} != set(hashes.algorithms):
            return (
                f"search.max_distance: names {', '.join(sorted(distance))}, hash.algorithms"
                f" {', '.join(sorted(hashes.algorithms))}; give one number for each algorithm, and"
                f" {TOTAL!r} if you like for all of them together"
            )
        if distance.get(TOTAL, 0) > hashes.bits * len(hashes.algorithms):
            together = hashes.bits * len(hashes.algorithms)
            return (
                f"search.max_distance.{TOTAL}: got {distance[TOTAL]}; all codes together have only"
                f" {together} bits"
            )
        largest = max(bits for name, bits in distance.items() if name != TOTAL)
    else:
        largest = 0 if distance == "auto" else distance

    if largest > hashes.bits:
        return f"search.max_distance: got {largest}; the codes have only {hashes.bits} bits"

    return None


class Config(Section):
    """The whole configuration of a run."""

    dataset: DatasetConfig = DatasetConfig()
    hash: HashConfig = HashConfig()
    search: SearchConfig = SearchConfig()
    verify: VerifyConfig = VerifyConfig()
    policy: PolicyConfig = PolicyConfig()
    gate: GateConfig = GateConfig()
    output: OutputConfig = OutputConfig()
    engine: EngineConfig = EngineConfig()
    cache: CacheConfig = CacheConfig()

    @check(mode="after")
    def _distances_fit(self) -> Self:
        if problem := distance_problem(self.hash, self.search):
            raise ValueError(problem)
        return self

    def fingerprint_part(self) -> dict[str, Any]:
        """What decides the tables: not where data and output lie, not where the work runs, not the
        gate.
        """
        settings = self.model_dump(mode="json", exclude={"gate", "output", "engine", "cache"})
        for dataset in (settings["dataset"], *settings["dataset"]["sources"]):
            del dataset["path"], dataset["image_folder"]

        for name in LISTS:  # what they say counts, not where they lie
            del settings["policy"][name]

        return settings
