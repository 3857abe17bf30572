"""The HTML report: one self-contained file, the worst cases in galleries, the rest in Parquet.

File names and labels are hostile input: the template escapes everything, and the page's own policy
forbids frames, connections and every script but the page's own, which is named by its digest.
"""

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dedup.config import HashConfig
from dedup.engines import Engine, InlineEngine
from dedup.policy.precision import sentence as precision_sentence
from dedup.reporting.album import (
    ReadSamples,
    as_album,
    rules_of_album,
    small_pictures,
    small_thumbnails,
    thumbnails_of,
)
from dedup.reporting.dataset import NOTHING, in_a_line, recorded
from dedup.reporting.galleries import (
    listed_places,
    outlined_groups,
    outlined_leaks,
    outlined_pairs,
    outlined_rejected,
    shortened,
    shown_cases,
    shown_chains,
)
from dedup.reporting.histograms import bars_of_run
from dedup.reporting.listing import Listing
from dedup.reporting.shown import sentence
from dedup.reporting.tallies import by_class, sizes_and_formats
from dedup.reporting.words import gone_with_every_match, shifted

MAX_UNREADABLE: Final = 200
MAX_SPLITS: Final = 30  # rows of the tables by split


def render(
    stored: Mapping[str, pa.Table],
    candidates: Callable[[], Iterator[pa.Table]],
    summary: Mapping[str, Any],
    *,
    title: str,
    read: ReadSamples,
    settings: HashConfig | None = None,
    engine: Engine | None = None,
    thumbnails: Callable[[Sequence[int]], Sequence[bytes | None]] | None = None,
    written: bool = True,
    opened: bool = True,
) -> str:
    """The page's text; `settings` say how its pictures are decoded, `engine` where; by default in
    this process.

    `candidates` gives that table's parts, one at least; `thumbnails` gives those of some samples
    where the table of hashes was read without them. `written`: whether the kept samples are
    written, or would only be; `opened`: whether the dataset is.
    """
    settings = settings or HashConfig()
    thumbnails = thumbnails or thumbnails_of(stored["hashes"])
    cases = {
        "leaks": outlined_leaks(stored),
        "conflicts": outlined_pairs(stored, pc.equal(stored["pairs"]["label_conflict"], True)),
        "borderline": outlined_pairs(stored, pc.equal(stored["pairs"]["kind"], "near")),
        "rejected": outlined_rejected(stored, candidates(), summary["resolved"]),
        "groups": outlined_groups(stored),
    }
    wanted = list(
        dict.fromkeys(
            sample for gallery in cases.values() for case in gallery for sample in case[0]
        )
    )
    listing = Listing(stored["manifest"], stored["hashes"])

    with ThreadPoolExecutor(
        1
    ) as reader:  # the files are large, and are read while the list is made
        pictures = reader.submit(
            small_pictures,
            wanted,
            read,
            thumbnails,
            settings,
            engine or InlineEngine(),
        )
        places = {
            name: listed_places(gallery, listing, "in a group" if name == "groups" else "")
            for name, gallery in cases.items()
        }
        listing.fill(stored, summary["resolved"]["held_out"])
        histograms = bars_of_run(stored, candidates(), summary["resolved"])
        album = as_album(wanted, pictures.result())

    small = small_thumbnails(listing, album, thumbnails)
    galleries = {
        name: shown_cases(gallery, stored["manifest"], album, places[name])
        for name, gallery in cases.items()
    }
    script = resources.files("dedup.reporting").joinpath("report.js").read_text(encoding="utf-8")
    environment = Environment(
        loader=PackageLoader("dedup.reporting", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip

    return environment.get_template(
        "report.html.j2"
    ).render(
        title=title,
        summary=summary,
        verdict=sentence(summary),
        clean=not any(found["leaking"] for found in summary["leakage"].values()),
        precision=judged_sample(summary),
        classes=by_class(stored),
        formats=sizes_and_formats(stored["hashes"]),
        album=rules_of_album({**album, **small}),
        understood=summary.get("understood", ""),
        recorded=recorded(summary.get("recordings")),
        not_read_line=in_a_line(summary.get("not_read", NOTHING)),
        written=written,
        opened=opened,
        shifted=shifted,
        gone=gone_with_every_match(summary),
        galleries=galleries,
        n_leaks=len(stored["leakage"]),
        chains=shown_chains(stored),
        n_groups=pc.count_distinct(stored["groups"]["group"]).as_py(),
        histograms=histograms,
        unreadable=_unreadable(stored),
        max_unreadable=MAX_UNREADABLE,
        shown_splits=list(summary["splits"])[:MAX_SPLITS],
        listing=listing,
        n_pairs=_near(stored["pairs"]),
        script=Markup(script),  # our own
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        run=hashlib.sha256(f"{title}\n{listing.data()}".encode()).hexdigest()[:16],
    )


def _near(pairs: pa.Table) -> int:
    """Pairs with something to judge."""
    return int(
        pc.sum(pc.invert(pc.is_in(pairs["kind"], pa.array(["bytes", "pixels"])))).as_py() or 0
    )


def judged_sample(summary: Mapping[str, Any]) -> str:
    """The precision that a judged sample shows, in a sentence; empty where there is none."""
    found = summary.get("precision")
    return precision_sentence(found) if found else ""


def _unreadable(stored: Mapping[str, pa.Table]) -> list[dict[str, Any]]:
    bad = pc.not_equal(stored["hashes"]["status"], "ok")
    some = stored["hashes"].filter(bad).slice(0, MAX_UNREADABLE)
    of = stored["manifest"].take(some["sample"])

    return [
        {
            "id": shortened(name),
            "split": shortened(split or ""),
            "status": status,
            "detail": shortened(detail or ""),
        }
        for name, split, status, detail in zip(
            of["id"].to_pylist(),
            of["split"].to_pylist(),
            some["status"].to_pylist(),
            some["detail"].to_pylist(),
            strict=True,
        )
    ]
