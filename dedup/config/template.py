"""A commented config to begin with, for `dedup init`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


def template(source: str | None, found: Mapping[str, Any], folder: Path) -> str:
    """The text of a config for a dataset, whose path is written relative to `folder`, where the
    file will be.

    `found`: `form`, `understood` and `splits` of the dataset, as `formats.described` has them;
    empty where no dataset was named.
    """
    path = "photos" if source is None else _path(source, folder)
    understood = f"  # {found['understood']}\n" if found.get("understood") else ""
    held_out = [name for name in found.get("splits", ()) if name != "train"]
    seen = (
        f"null = every split but train: {', '.join(held_out)}"
        if held_out
        else "null = every split but train"
    )
    name = Path(path.rstrip("/")).stem or "dataset"

    return f"""\
# A config of dedup. Every key, with its default: docs/configuration.md.
# To run it: dedup run THIS_FILE
dataset:
  path: {_quoted(path)}  # relative to this file
  source: {found.get("form", "auto")}
{understood}
hash:
  algorithms: [dhash, phash]  # ahash, phash, dhash, whash, pdq
  bits: 64                    # 64, 256 or 1024

search:
  max_distance: auto          # bits, inclusive; auto goes as far as the budget of candidates allows
  orientations: upright       # mirrored, all: mirrored and rotated copies, too

verify:
  method: pixels              # none: a bare threshold, without a second comparison

policy:
  held_out: null              # {seen}
  leakage: drop_from_train    # drop_from_held_out, regroup, report_only
  duplicates: keep_best       # keep_first, keep_by, report_only: copies within train
  unreadable: drop_from_train # drop, keep

gate:
  max_leakage: null           # e.g. 0.0: exit with 3 where more of a held-out split is in train

output:
  dir: {_quoted(f"runs/{name}")}  # relative to the working directory
  splits: same                # imagefolder, manifest, parquet, webdataset, none
"""


def _path(source: str, folder: Path) -> str:
    return source if "://" in source else Path(os.path.relpath(source, folder)).as_posix()


def _quoted(text: str) -> str:
    """As YAML writes it, quoted only where it must be."""
    return (
        str(yaml.safe_dump(text, allow_unicode=True, width=10_000))
        .removesuffix("\n")
        .removesuffix("\n...")
    )
