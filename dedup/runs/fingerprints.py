"""What made each table, and what a run is known by."""

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pyarrow as pa

from dedup.config import LISTS, Config, Resolved
from dedup.formats import Source, parts_of
from dedup.formats.outside import n_outside
from dedup.hashers.setup import Setup
from dedup.policy.judgements import JUDGEMENTS
from dedup.reporting.dataset import not_read
from dedup.tables import storage
from dedup.versions import VERSIONS

NO_LISTS: Final[Mapping[str, str]] = MappingProxyType({})


def specs(config: Config, resolved: Resolved) -> dict[str, dict[str, Any]]:
    """What made each table: the settings it depends on, upstream ones included."""
    dataset = config.fingerprint_part()["dataset"]
    for of_one in (dataset, *dataset["sources"]):
        del of_one["source"]

    of_candidates = {
        "hash": Setup.of(config).spec(),
        "search": asdict(resolved.search),
        "verify": asdict(resolved.verify),
    }
    judged = {name: digest for name, digest in resolved.lists.items() if name != "prefer_list"}
    of_parts = {**of_candidates, "parts": resolved.parts.parts}
    crops = {"parts": asdict(resolved.parts)} if resolved.parts.parts == "on" else {}
    of_pairs = {
        **of_candidates,
        **crops,
        "acceptance": asdict(resolved.acceptance),
        "lists": judged,
    }
    of_matches = {**of_pairs, "splits": asdict(resolved.splits)}
    of_decisions = {**of_matches, "lists": resolved.lists, "policy": asdict(resolved.policy)}

    return {
        "manifest": {
            "dataset": dataset,
            "keep_by": resolved.policy.keep_by,
            "distinct_columns": list(config.policy.distinct_columns),
        },
        "hashes": of_candidates["hash"],
        "crowds": of_decisions,
        "candidates": of_candidates,
        "parts": of_parts,
        "placements": of_parts,
        "overlaps": of_pairs,
        "pairs": of_pairs,
        "groups": of_matches,
        "leakage": of_matches,
        "chains": of_matches,
        "decisions": of_decisions,
        "uncompared": of_decisions,
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
        "understood": source.understood,
        "doubts": list(source.doubts),
        "not_read": not_read(source.not_read),
        "outside": n_outside(source),
    }


def run_info(
    config: Config,
    source: Mapping[str, Any],
    table: pa.Table,
    lists: Mapping[str, str] = NO_LISTS,
    *,
    known: str | None = None,
) -> dict[str, Any]:
    """What `run.json` says before the work begins; `known` is the fingerprint of the manifest, if
    it is known.
    """
    settings = config.model_dump(mode="json")
    sections = (config.dataset, *config.dataset.sources)
    for section, of_one in zip(
        sections, (settings["dataset"], *settings["dataset"]["sources"]), strict=True
    ):
        if "allow_outside" not in section.model_fields_set:
            del of_one["allow_outside"]  # an upload asks whether somebody has set it
        for key in ("path", "image_folder"):
            if of_one[key] is not None and "://" not in of_one[key]:
                of_one[key] = str(Path(of_one[key]).expanduser().absolute())
    for name in LISTS:
        if settings["policy"][name] is not None:
            settings["policy"][name] = str(Path(settings["policy"][name]).expanduser().absolute())

    # The record of a review is in the folder of the run: it never makes the run another one.
    of_config = {name: digest for name, digest in lists.items() if name != JUDGEMENTS}
    deciding = config.fingerprint_part() | ({"lists": of_config} if of_config else {})

    return {
        "state": "started",
        "config": settings,
        "source": dict(source),
        "versions": {**VERSIONS, "python": sys.version.split()[0]},
        "fingerprints": {
            "input": known or _digest(_table_bytes(table.replace_schema_metadata(None))),
            "config": _digest(storage.canonical(deciding).encode()),
            **({JUDGEMENTS: lists[JUDGEMENTS]} if JUDGEMENTS in lists else {}),
        },
    }


def _table_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return bytes(sink.getvalue())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
