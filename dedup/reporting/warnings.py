"""What the summary warns of: settings and data that make its figures say less than they seem to."""

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup import tables
from dedup.config import Resolved
from dedup.policy.acceptance import MUST_AGREE
from dedup.reporting.tallies import Mask, n_by_value
from dedup.tables import MANY_WITHOUT_INFORMATION

MANY_RECOLOURED: Final = 3  # pairs of other colours under other labels: fewer may be wrong labels


def of_other_colours(pairs: pa.Table, resolved: Resolved) -> list[str]:
    """What to know of pairs whose colours differ, or whose colours nobody compared."""
    near = pairs.filter(pc.equal(pairs["kind"], "near"))
    if resolved.acceptance.colour == MUST_AGREE:
        unseen = near["colour_differs"].null_count
        said = (
            f"The colours of {unseen:,} near pairs were not compared: one was seen without its"
            " frame, or not again."
        )
        return [said] if unseen else []

    both = pc.and_(near["colour_differs"], near["label_conflict"])
    n_both = pc.sum(both).as_py() or 0
    if n_both < MANY_RECOLOURED:
        return []

    said = (
        f"{n_both:,} pairs differ in colour and in their labels. If colour makes another picture"
        " here, as of flags or lights, set verify.colour: must_agree."
    )

    return [said]


def not_decoded(hashes: pa.Table) -> Iterator[str]:
    """A sentence for each status of pictures that are not decoded here, with its most frequent
    detail and a remedy.
    """
    for status in tables.NOT_DECODED:
        details = n_by_value(hashes["detail"].filter(pc.equal(hashes["status"], status)))
        if not details:
            continue
        n, (detail, of_detail) = sum(details.values()), details.most_common(1)[0]
        pictures = "1 picture is" if n == 1 else f"{n:,} pictures are"
        why = (
            "too large to be decoded"
            if status == "too_large"
            else "of a kind that is not decoded here"
        )
        yield (
            f"{pictures} {why}, so nobody knows whether {'it leaks' if n == 1 else 'they leak'}:"
            f" {detail}{'' if of_detail == n else f' ({of_detail:,} of them)'}."
            f" {'It is' if n == 1 else 'They are'} kept. {_remedy(status, detail)}"
        )


def _remedy(status: str, detail: str) -> str:
    """What to do about pictures that are not decoded."""
    if status == "too_large":
        return "Set hash.max_pixels higher to compare them."
    if detail.startswith(("HEIC", "HEIF")):
        return "Install the extra that reads them: pip install 'dedup-images[heif]'."
    return "Convert them to PNG, JPEG or WebP to compare them."


def of_uncompared(uncompared: pa.Table | None) -> list[str]:
    """A sentence on samples that were not compared with all their candidates, if there are any."""
    if uncompared is None or len(uncompared) == 0:
        return []

    message = (
        f"{len(uncompared):,} kept train images were not compared with all their candidates, as"
        " crowds of look-alikes are too large for that: see uncompared.parquet."
    )

    return [message]


def of_data(
    in_split: Mapping[str, Mask],
    unsplit: str | None,
    manifest: pa.Table,
    samples: Mapping[str, int],
    resolved: Resolved,
) -> list[str]:
    """Sentences on splits, labels, readability and settings of a run over which one may stumble."""
    n_no_information, n_readable = samples["without_information"], samples["readable"]
    found = []
    own = in_split.keys() - {*resolved.splits.references}
    own_held_out = {*resolved.splits.held_out} - {*resolved.splits.references}
    counts = {name: int(inside.sum()) for name, inside in in_split.items()}

    for name in sorted(counts):
        if counts[name] == 1 and len(counts) > 1:
            only = manifest["id"][int(np.argmax(in_split[name]))].as_py()
            found.append(f"Split {name!r} has a single sample, {only!r}. Is its name a slip?")

    if n_no_information > MANY_WITHOUT_INFORMATION * max(n_readable, 1):
        found.append(
            f"{n_no_information:,} of {n_readable:,} pictures are blank, flat or bare gradients:"
            " they are matched by identical pixels only."
        )

    if "train" not in own and own != {unsplit} and not own_held_out:
        others = (
            " but reference sets"
            if resolved.splits.references
            else ", and only duplicates are looked for"
        )
        found.append(
            f"No split is called train ({', '.join(map(repr, sorted(own)))}). Unless"
            f" policy.held_out names some, nothing is held out{others}."
        )

    if n_readable == 0:
        found.append("No sample could be read.")

    return found
