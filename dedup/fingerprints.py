"""What made each table, and what a run is known by."""

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from dedup import tables
from dedup.config import Config, Resolved
from dedup.formats import Source, parts_of
from dedup.hashers.setup import Setup
from dedup.versions import VERSIONS


def specs(config: Config, resolved: Resolved) -> dict[str, dict[str, Any]]:
    """What made each table: the settings it depends on, upstream ones included."""
    dataset = config.fingerprint_part()["dataset"]
    for of_one in (dataset, *dataset["sources"]):
        del of_one["source"]
    hash_spec = Setup.of(config).spec()
    search = {
        "max_distance": resolved.max_distance,
        "combine": resolved.combine,
        "orientations": resolved.orientations,
    }
    of_hashes = hash_spec
    of_candidates = {"hash": hash_spec, "search": search, "verify": {"method": resolved.method}}
    of_pairs = {
        **of_candidates,
        "verify": {"method": resolved.method, "min_similarity": resolved.min_similarity},
    }
    with_held_out = {**of_pairs, "policy": {"held_out": list(resolved.held_out)}}
    policy = {key: getattr(resolved, key) for key in ("leakage", "duplicates", "unreadable")}
    references = {"references": list(resolved.references)} if resolved.references else {}
    return {
        "manifest": {"dataset": dataset},
        "hashes": of_hashes,
        "candidates": of_candidates,
        "pairs": of_pairs,
        "groups": with_held_out,
        "leakage": with_held_out,
        "decisions": {**of_pairs, "policy": {"held_out": list(resolved.held_out), **policy, **references}},
    }


def source_info(config: Config, source: Source) -> dict[str, Any]:
    """What `run.json` says of the dataset."""
    in_memory = config.dataset.path is None and not config.dataset.sources
    names = [part.name for part in parts_of(source)]
    return {
        "form": source.form,
        "name": source.name,
        "names": names,
        "in_memory": in_memory,
        "skipped": dict(source.skipped),
    }


def run_info(config: Config, source: Mapping[str, Any], table: pa.Table) -> dict[str, Any]:
    """What `run.json` says before the work begins."""
    settings = config.model_dump(mode="json")
    for of_one in (settings["dataset"], *settings["dataset"]["sources"]):
        if of_one["path"] is not None and "://" not in of_one["path"]:
            of_one["path"] = str(Path(of_one["path"]).expanduser().absolute())
    return {
        "state": "started",
        "config": settings,
        "source": dict(source),
        "versions": {**VERSIONS, "python": sys.version.split()[0]},
        "fingerprints": {
            "input": _digest(_table_bytes(table.replace_schema_metadata(None))),
            "config": _digest(tables.canonical(config.fingerprint_part()).encode()),
        },
    }


def _table_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return bytes(sink.getvalue())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
