"""summary: counts of images, not of edges; a pure function of the tables."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup import tables
from dedup.config import Resolved
from dedup.graph import Graph, best_witnesses
from dedup.hashers.thumbnail import MIN_INFORMATION
from dedup.versions import DEDUP_VERSION

NO_SPLIT: Final = "(no split)"
MANY_WITHOUT_INFORMATION: Final = 0.05  # share of the readable samples


def summary(
    manifest: pa.Table,
    hashes: pa.Table,
    pairs: pa.Table,
    leakage: pa.Table,
    decisions: pa.Table,
    graph: Graph,
    resolved: Resolved,
    *,
    skipped: Mapping[str, int],
) -> dict[str, Any]:
    """Everything in `summary.json` but the certificate."""
    splits = [name or NO_SPLIT for name in manifest["split"].to_pylist()]
    names = sorted(set(splits), key=lambda name: (name != "train", name))
    in_split = {name: np.array([split == name for split in splits]) for name in names}
    matrix = _matrix(graph, in_split)
    n_no_information = pc.sum(pc.less(hashes["information"], MIN_INFORMATION)).as_py() or 0
    statuses = Counter(hashes["status"].to_pylist())
    return {
        "schema_version": tables.SCHEMA_VERSION,
        "dedup_version": DEDUP_VERSION,
        "samples": {
            "total": len(manifest),
            "readable": statuses["ok"],
            "unreadable": len(manifest) - statuses["ok"],
            "by_status": {status: statuses[status] for status in tables.STATUSES if statuses[status]},
            "without_information": n_no_information,
        },
        "skipped_files": dict(skipped),
        "splits": {name: _split(decisions, inside) for name, inside in in_split.items()},
        "decisions": _decisions(decisions),
        "pairs": {
            "by_kind": {kind: pc.sum(pc.equal(pairs["kind"], kind)).as_py() or 0 for kind in tables.KINDS},
            "images": int(graph.matched().sum()),
            "label_conflicts": pc.sum(pairs["label_conflict"]).as_py() or 0,
        },
        "leakage_matrix": matrix,
        "leakage": _leakage(graph, manifest, in_split, resolved),
        "leaking_train_images": len(set(leakage["id"].to_pylist())),
        "held_out_images_in_another_held_out_split": _between_held_out(graph, in_split, resolved.held_out),
        "resolved": asdict(resolved),
        "warnings": _warnings(splits, manifest, hashes, n_no_information, statuses["ok"]),
    }


def _matrix(graph: Graph, in_split: Mapping[str, NDArray[np.bool_]]) -> dict[str, dict[str, int]]:
    """For each split the number of its images that match another image of each split."""
    matched = {name: best_witnesses(graph, inside).sample >= 0 for name, inside in in_split.items()}
    return {
        row: {column: int((matched[column] & inside).sum()) for column in in_split} for row, inside in in_split.items()
    }


def _leakage(
    graph: Graph, manifest: pa.Table, in_split: Mapping[str, NDArray[np.bool_]], resolved: Resolved
) -> dict[str, dict[str, Any]]:
    """For each held-out split its images that match a train image, and their share."""
    train = ~pc.is_in(manifest["split"], pa.array(resolved.held_out, pa.string())).to_numpy()
    leaks = best_witnesses(graph, train).sample >= 0
    found = {}
    for name in resolved.held_out:
        n, leaking = int(in_split[name].sum()), int((leaks & in_split[name]).sum())
        found[name] = {"images": n, "leaking": leaking, "share": leaking / n}
    return found


def _between_held_out(graph: Graph, in_split: Mapping[str, NDArray[np.bool_]], held_out: tuple[str, ...]) -> int:
    """Held-out images that match an image of another held-out split: the policy leaves them."""
    found = np.zeros(graph.n_samples, dtype=bool)
    for name in held_out:
        others = np.any([in_split[other] for other in held_out if other != name] or [~found & False], axis=0)
        found |= in_split[name] & (best_witnesses(graph, others).sample >= 0)
    return int(found.sum())


def _split(decisions: pa.Table, inside: NDArray[np.bool_]) -> dict[str, int]:
    actions = Counter(decisions["action"].filter(pa.array(inside)).to_pylist())
    return {"images": int(inside.sum()), **{action: actions[action] for action in tables.ACTIONS}}


def _decisions(decisions: pa.Table) -> dict[str, Any]:
    actions, reasons = Counter(decisions["action"].to_pylist()), Counter(decisions["reason"].to_pylist())
    return {
        **{action: actions[action] for action in tables.ACTIONS},
        "by_reason": dict(sorted(reasons.items())),
    }


def _warnings(
    splits: list[str], manifest: pa.Table, hashes: pa.Table, n_no_information: int, n_readable: int
) -> list[str]:
    found = []
    counts = Counter(splits)
    for name in sorted(counts):
        if counts[name] == 1 and len(counts) > 1:
            only = manifest["id"][splits.index(name)].as_py()
            found.append(f"Split {name!r} has a single sample, {only!r}. Is its name a slip?")
    if n_no_information > MANY_WITHOUT_INFORMATION * max(n_readable, 1):
        found.append(
            f"{n_no_information:,} of {n_readable:,} pictures are blank, flat or bare gradients: they are matched by "
            f"identical pixels only."
        )
    if "train" not in counts and set(counts) != {NO_SPLIT}:
        found.append(
            f"No split is called train ({', '.join(map(repr, sorted(counts)))}). Unless policy.held_out names some, "
            f"nothing is held out, and only duplicates are looked for."
        )
    if n_readable == 0:
        found.append("No sample could be read.")
    return found
