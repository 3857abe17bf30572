"""summary: counts of images, not of edges; a pure function of the tables."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup import tables
from dedup.config import Resolved
from dedup.graph import Graph, group_witnesses, matches_one_of, numbers
from dedup.policy import distinct
from dedup.policy.drawn_otherwise import drawn_otherwise
from dedup.policy.unreadable import emptied
from dedup.reporting.tallies import Mask, n_by_value, rounded_mean, share_of
from dedup.reporting.warnings import (
    not_decoded,
    of_data,
    of_other_colours,
    of_uncompared,
)
from dedup.tables import MIN_INFORMATION
from dedup.versions import DEDUP_VERSION

NO_SPLIT: Final = "(no split)"
"""What samples without a split are counted under, unless a split is called so: see
`key_of_no_split`.
"""

MAX_LABEL_PAIRS: Final = 100  # pairs of labels in conflict that are listed
MAX_SHIFTED: Final = 10  # labels of a split that are listed after regrouping


def summary(
    manifest: pa.Table,
    hashes: pa.Table,
    pairs: pa.Table,
    leakage: pa.Table,
    chains: pa.Table,
    decisions: pa.Table,
    graph: Graph,
    resolved: Resolved,
    *,
    crowds: pa.Table | None = None,
    uncompared: pa.Table | None = None,
    n_points: pa.ChunkedArray | None = None,
    skipped: Mapping[str, int],
) -> dict[str, Any]:
    """Everything in `summary.json` but the certificate."""
    in_split = _in_split(manifest["split"])
    unsplit = key_of_no_split(manifest["split"])
    samples = _samples(hashes, n_points)
    by_group = pc.equal(leakage["kind"], "group")
    is_held_out = pc.is_in(chains["split"], pa.array(resolved.splits.held_out, pa.string()))
    n_chained_held_out = pc.sum(is_held_out).as_py() or 0
    drawn = drawn_otherwise(pairs, manifest)

    return {
        "schema_version": tables.SCHEMA_VERSION,
        "dedup_version": DEDUP_VERSION,
        "samples": samples,
        "skipped_files": dict(skipped),
        "splits": {
            name: _split(decisions, inside) | {"without_image": _n_absent(hashes, inside)}
            for name, inside in in_split.items()
        },
        "samples_without_split_as": unsplit,
        "decisions": _decisions(decisions),
        "pairs": _pairs(pairs, graph, drawn.n_pairs),
        "crowds": _crowds(crowds),
        "uncompared": 0 if uncompared is None else len(uncompared),
        "label_conflicts": label_conflicts(pairs),
        "leakage_matrix": _matrix(graph, in_split),
        "leakage": _leakage(graph, in_split, resolved),
        "leaking_train_images": (
            pc.count_distinct(leakage["id"].filter(pc.invert(by_group))).as_py()
        ),
        "chained_train_images": len(chains) - n_chained_held_out,
        "chained_held_out_images": n_chained_held_out,
        "longest_chain": pc.max(chains["hops"]).as_py() or 0,
        "group_leakage": _groups(manifest, hashes, in_split, resolved),
        "regroup": (
            regroup(manifest, decisions, in_split) if resolved.policy.leakage == "regroup" else None
        ),
        "held_out_images_in_another_held_out_split": _between_held_out(
            graph, in_split, resolved.splits.held_out
        ),
        "resolved": resolved.settings(),
        "warnings": [
            *of_other_colours(pairs, resolved),
            *of_data(in_split, unsplit, manifest, samples, resolved),
            *not_decoded(hashes),
            *emptied(hashes, manifest, resolved),
            *distinct.warnings(manifest, hashes, decisions, resolved),
            *drawn.warnings(),
            *of_uncompared(uncompared),
        ],
    }


def _samples(hashes: pa.Table, n_points: pa.ChunkedArray | None) -> dict[str, Any]:
    """How many there are, and how many of them can be read."""
    statuses = n_by_value(hashes["status"])
    n_readable, n_absent = statuses["ok"], statuses[tables.ABSENT]
    plain = pc.less(hashes["information"], MIN_INFORMATION)

    return {
        "total": len(hashes),
        "readable": n_readable,
        "without_image": n_absent,
        "unreadable": len(hashes) - n_readable - n_absent,
        "by_status": {status: statuses[status] for status in tables.STATUSES if statuses[status]},
        "without_information": pc.sum(plain).as_py() or 0,
        **_without_key_points(hashes, n_points),
    }


def _pairs(pairs: pa.Table, graph: Graph, n_box_conflicts: int) -> dict[str, Any]:
    """How many there are of each kind, and what is known of them."""
    of_kind = {kind: pc.sum(pc.equal(pairs["kind"], kind)).as_py() or 0 for kind in tables.KINDS}

    return {
        "by_kind": of_kind,
        "images": int(graph.matched().sum()),
        "label_conflicts": pc.sum(pairs["label_conflict"]).as_py() or 0,
        "box_conflicts": n_box_conflicts,
        "expected_false_share": rounded_mean(pairs["false_probability"]),
    }


def _n_absent(hashes: pa.Table, inside: Mask) -> int:
    return int((pc.equal(hashes["status"], tables.ABSENT).to_numpy() & inside).sum())


def label_conflicts(pairs: pa.Table) -> list[dict[str, Any]]:
    """Pairs whose two samples have different labels, by the two labels: the most frequent first, a
    part of many.
    """
    rows = pairs.filter(pairs["label_conflict"]).select(["label_a", "label_b"])
    counts: Counter[tuple[str, str]] = Counter()
    for one in rows.group_by(["label_a", "label_b"]).aggregate([([], "count_all")]).to_pylist():
        low, high = sorted((one["label_a"], one["label_b"]))
        counts[low, high] += one["count_all"]

    ranked = sorted(counts.items(), key=lambda one: (-one[1], one[0]))

    return [{"labels": list(labels), "pairs": n} for labels, n in ranked[:MAX_LABEL_PAIRS]]


def regroup(
    manifest: pa.Table, decisions: pa.Table, in_split: Mapping[str, Mask]
) -> dict[str, dict[str, Any]]:
    """Size and label balance of each split before and after samples were moved and dropped.

    `label_shift` is half the sum of the differences between the labels' shares: 0 is as before, 1
    nothing in common. `labels` has counts of those labels whose share changed most.
    """
    moved = pc.equal(decisions["action"], "move").to_numpy()
    to = decisions["new_split"].to_numpy(zero_copy_only=False)
    coded = pc.dictionary_encode(manifest["label"].combine_chunks())
    label, names = (
        coded.indices.fill_null(-1).to_numpy().astype(np.int64) + 1,
        [None, *coded.dictionary.to_pylist()],
    )
    found = {}

    for name, inside in in_split.items():
        counts = _split(decisions, inside)
        came = moved & (to == name)
        kept = inside & pc.equal(decisions["action"], "keep").to_numpy()
        before, after = (
            np.bincount(label[which], minlength=len(names)) for which in (inside, kept | came)
        )
        shares = [counted / max(counted.sum(), 1) for counted in (before, after)]
        shift = np.abs(shares[0] - shares[1])
        most = sorted(np.flatnonzero(shift).tolist(), key=lambda k: (-shift[k], names[k] or ""))[
            :MAX_SHIFTED
        ]
        found[name] = {
            "before": counts["images"],
            "moved_out": counts["move"],
            "moved_in": int(came.sum()),
            "dropped": counts["drop"],
            "unreadable": counts["unreadable"],
            "after": int((kept | came).sum()),
            "label_shift": round(float(shift.sum() / 2), 6),
            "labels": [
                {"label": names[k], "before": int(before[k]), "after": int(after[k])} for k in most
            ],
        }

    return found


def key_of_no_split(column: pa.ChunkedArray) -> str | None:
    """What samples without a split are counted under, a key that no split has; None where all have
    a split.

    >>> key_of_no_split(pa.chunked_array([["train", None, "(no split)"]]))
    '((no split))'
    """
    if column.null_count == 0:
        return None

    taken = set(column.unique().to_pylist())
    key = NO_SPLIT
    while key in taken:
        key = f"({key})"

    return key


def _without_key_points(hashes: pa.Table, n_points: pa.ChunkedArray | None) -> dict[str, int]:
    """Only of a run that searched parts: `n_points` are those of each sample."""
    if n_points is None:
        return {}

    plain = pc.and_(pc.equal(hashes["status"], "ok"), pc.equal(n_points, 0))

    return {"without_key_points": pc.sum(plain).as_py() or 0}


def _in_split(column: pa.ChunkedArray) -> dict[str, Mask]:
    """Which samples are in each split, train first; those without one under the key that stands for
    them.
    """
    unsplit = key_of_no_split(column)
    found = {
        name: pc.fill_null(pc.equal(column, name), False).to_numpy()
        for name in column.unique().drop_null().to_pylist()
    }
    if unsplit is not None:
        found[unsplit] = column.is_null().to_numpy()

    return dict(sorted(found.items(), key=lambda one: (one[0] != "train", one[0])))


def _matrix(graph: Graph, in_split: Mapping[str, Mask]) -> dict[str, dict[str, int]]:
    """For each split the number of its images that match another image of each split."""
    matched = {name: matches_one_of(graph, inside) for name, inside in in_split.items()}
    return {
        row: {column: int((matched[column] & inside).sum()) for column in in_split}
        for row, inside in in_split.items()
    }


def _leakage(
    graph: Graph, in_split: Mapping[str, Mask], resolved: Resolved
) -> dict[str, dict[str, Any]]:
    """For each held-out split its images that match a train image, and their share."""
    leaks = matches_one_of(graph, _train(in_split, resolved))
    return {name: share_of(in_split[name], leaks) for name in resolved.splits.held_out}


def _groups(
    manifest: pa.Table, hashes: pa.Table, in_split: Mapping[str, Mask], resolved: Resolved
) -> dict[str, dict[str, Any]] | None:
    """For each held-out split its readable images whose group is in train too, and their share;
    None without groups.
    """
    if manifest["group"].null_count == len(manifest):
        return None

    readable = pc.equal(hashes["status"], "ok").to_numpy()
    in_train = (
        group_witnesses(numbers(manifest["group"]), readable & _train(in_split, resolved)) >= 0
    )

    return {
        name: share_of(in_split[name], in_train & readable) for name in resolved.splits.held_out
    }


def _train(in_split: Mapping[str, Mask], resolved: Resolved) -> Mask:
    return np.asarray(
        np.any(
            [inside for name, inside in in_split.items() if name not in resolved.splits.held_out],
            axis=0,
        )
    )


def _between_held_out(graph: Graph, in_split: Mapping[str, Mask], held_out: tuple[str, ...]) -> int:
    """Held-out images that match an image of another held-out split: the policy leaves them."""
    found = np.zeros(graph.n_samples, dtype=bool)
    for name in held_out:
        others = np.any(
            [in_split[other] for other in held_out if other != name] or [~found & False], axis=0
        )
        found |= in_split[name] & matches_one_of(graph, others)

    return int(found.sum())


def _split(decisions: pa.Table, inside: Mask) -> dict[str, int]:
    actions = n_by_value(decisions["action"].filter(pa.array(inside)))
    return {"images": int(inside.sum()), **{action: actions[action] for action in tables.ACTIONS}}


def _crowds(crowds: pa.Table | None) -> dict[str, int]:
    """Crowds of look-alikes, the images in them, and those beside them that their leader
    rejected.
    """
    roles = n_by_value(tables.CROWDS.empty_table()["role"] if crowds is None else crowds["role"])
    return {
        "number": roles["leader"],
        "images": roles["leader"] + roles["member"],
        "rejected": roles["rejected"] + roles["left_out"],
    }


def _decisions(decisions: pa.Table) -> dict[str, Any]:
    actions, reasons = n_by_value(decisions["action"]), n_by_value(decisions["reason"])
    return {
        **{action: actions[action] for action in tables.ACTIONS},
        "by_reason": dict(sorted(reasons.items())),
        "witness_dropped": pc.sum(pc.invert(decisions["witness_kept"])).as_py() or 0,
    }
