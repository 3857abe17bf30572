"""The keyword options of `audit` and others, for completion and type checkers.

Made from the config's models by `python -m tests.option_types`; a test compares them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict


class Options(TypedDict, total=False):
    """Settings of the config by their own names, sections of it, and what a call alone has."""

    hash: Mapping[str, Any]
    search: Mapping[str, Any]
    verify: Mapping[str, Any]
    policy: Mapping[str, Any]
    gate: Mapping[str, Any]
    output: Mapping[str, Any]
    engine: Mapping[str, Any]
    cache: Mapping[str, Any]
    address: str | None
    algorithms: str | Sequence[str]
    allow_nothing: bool
    allow_outside: bool
    background: str
    bits: Literal[64, 256, 1024]
    bytes_column: str | None
    certified: bool
    chains: Literal["report", "drop"]
    colour: Literal["ignore", "must_agree"]
    combine: Literal["any", "all"]
    companions: str | Sequence[str]
    crops: Literal["leak", "duplicate", "report"]
    data_files: str | Sequence[str]
    default_split: str | None
    dir: str | None
    distinct: Literal["auto", "image", "row"]
    distinct_columns: str | Sequence[str]
    duplicates: Literal["keep_best", "keep_first", "keep_by", "report_only"]
    duplicates_list: str | None
    files: Literal["hardlink", "copy", "symlink"]
    folder: str | None
    group_column: str | None
    group_pattern: str | None
    held_out: str | Sequence[str] | None
    id_column: str | None
    image_column: str | None
    image_folder: str | None
    keep_by: str | None
    keep_order: Literal["descending", "ascending"]
    kind: Literal["processes", "ray"]
    label_column: str | None
    label_conflicts: Literal["report", "drop", "drop_all"]
    leakage: Literal["drop_from_train", "drop_from_held_out", "regroup", "report_only"]
    max_bytes: int
    max_candidates: int
    max_distance: Literal["auto"] | int | Mapping[str, int]
    max_false_probability: Literal["auto"] | float
    max_leakage: float | None
    max_moved: float | None
    max_pixels: int
    max_uncompared: int
    max_unreadable: float | None
    memory: int | None
    memory_total: int | None
    method: Literal["pixels", "none"]
    min_close_similarity: Literal["auto"] | float
    min_similarity: Literal["auto"] | float
    min_thumbnail_similarity: Literal["auto"] | float
    mode: Literal["fast", "compat"]
    name: str | None
    not_duplicates_list: str | None
    orientations: Literal["upright", "mirrored", "all"]
    parts: Literal["off", "on"]
    path: str | None
    path_column: str | None
    prefer_list: str | None
    protocols: str | Sequence[str]
    push_to_hub: str | None
    report: bool
    revision: str | None
    row: Literal["any", "all"]
    second_look: bool
    source: Literal[
        "auto",
        "imagefolder",
        "manifest",
        "huggingface",
        "webdataset",
        "coco",
        "yolo",
        "voc",
        "bank",
    ]
    sources: Any | Sequence[Any]
    split: str | Sequence[str]
    split_column: str | None
    split_folders: Mapping[str, str]
    splits: (
        Literal["same", "imagefolder", "manifest", "parquet", "huggingface", "webdataset", "none"]
        | Mapping[str, str | Sequence[str]]
    )
    streaming: bool
    timeout: int | float | None
    top_folders: Literal["auto", "splits", "labels"]
    trust: Literal["size_and_time", "content"]
    unreadable: Literal["drop_from_train", "drop", "keep"]
    workers: int | None
    num_proc: int | None
    overwrite: bool
    progress: bool | None
