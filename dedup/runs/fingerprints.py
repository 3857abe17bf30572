"""What made each table, and what a run is known by."""

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pyarrow as pa

from dedup.config import LIMITS, LISTS, Config, Resolved
from dedup.formats import Source, parts_of
from dedup.hashers.setup import Setup
from dedup.policy.acceptance import RULE_VERSION
from dedup.tables import storage
from dedup.versions import VERSIONS

NO_LISTS: Final[Mapping[str, str]] = MappingProxyType({})

_DECISIVE: Final = (
    "leakage",
    "max_moved",
    "chains",
    "label_conflicts",
    "duplicates",
    "keep_by",
    "keep_order",
    "unreadable",
)


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
    of_candidates = {
        "hash": hash_spec,
        "search": search,
        "verify": {"method": resolved.method, "second_look": resolved.second_look},
    }
    judged = {name: digest for name, digest in resolved.lists.items() if name != "prefer_list"}
    of_pairs = {
        **of_candidates,
        "verify": {
            **of_candidates["verify"],
            **{name: getattr(resolved, name) for name in LIMITS},
            "acceptance_rule": RULE_VERSION,
        },
        **({"lists": judged} if judged else {}),
    }
    with_held_out = {**of_pairs, "policy": {"held_out": list(resolved.held_out)}}
    policy = {key: getattr(resolved, key) for key in _DECISIVE}
    references = {"references": list(resolved.references)} if resolved.references else {}
    lists = {"lists": resolved.lists} if resolved.lists else {}
    ranked = {} if resolved.keep_by is None else {"keep_by": resolved.keep_by}
    return {
        "manifest": {"dataset": dataset, **ranked},
        "hashes": of_hashes,
        "candidates": of_candidates,
        "pairs": of_pairs,
        "groups": with_held_out,
        "leakage": with_held_out,
        "chains": with_held_out,
        "decisions": {**of_pairs, **lists, "policy": {"held_out": list(resolved.held_out), **policy, **references}},
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


def run_info(
    config: Config,
    source: Mapping[str, Any],
    table: pa.Table,
    lists: Mapping[str, str] = NO_LISTS,
    *,
    known: str | None = None,
) -> dict[str, Any]:
    """What `run.json` says before the work begins; `known` is the fingerprint of the manifest, if it is known."""
    settings = config.model_dump(mode="json")
    for of_one in (settings["dataset"], *settings["dataset"]["sources"]):
        for key in ("path", "image_folder"):
            if of_one[key] is not None and "://" not in of_one[key]:
                of_one[key] = str(Path(of_one[key]).expanduser().absolute())
    for name in LISTS:
        if settings["policy"][name] is not None:
            settings["policy"][name] = str(Path(settings["policy"][name]).expanduser().absolute())
    deciding = config.fingerprint_part() | ({"lists": dict(lists)} if lists else {})
    return {
        "state": "started",
        "config": settings,
        "source": dict(source),
        "versions": {**VERSIONS, "python": sys.version.split()[0]},
        "fingerprints": {
            "input": known or _digest(_table_bytes(table.replace_schema_metadata(None))),
            "config": _digest(storage.canonical(deciding).encode()),
        },
    }


def _table_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return bytes(sink.getvalue())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
