"""The HTML report: one self-contained file, the worst cases in galleries, the rest in Parquet.

File names and labels are hostile input: the template escapes everything, and the page's own policy
forbids frames, connections and every script but the page's own, which is named by its digest.
"""

import base64
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from dedup import tables
from dedup.config import HashConfig
from dedup.engines import Engine, InlineEngine
from dedup.policy.acceptance import MUST_AGREE, Evidence, Limits, accepted, within
from dedup.policy.precision import sentence as precision_sentence
from dedup.reporting.dataset import NOTHING, in_a_line, recorded
from dedup.reporting.leaks import by_doubt, doubtful
from dedup.reporting.listing import Listing, pair_facts
from dedup.reporting.pictures import WORK, jpeg
from dedup.reporting.shown import sentence
from dedup.reporting.tallies import by_class, sizes_and_formats
from dedup.reporting.words import gone_with_every_match, shifted

ReadSamples = Callable[[Sequence[int]], Iterator[pa.RecordBatch]]
"""PAYLOAD batches of the named samples, in the order given; none where the dataset is gone."""

MAX_LEAKS: Final = 60
MAX_GROUPS: Final = 40
MAX_MEMBERS: Final = 6  # shown of a group
MAX_PAIRS: Final = 24  # in each gallery of pairs
MAX_UNREADABLE: Final = 200
MAX_CHAINS: Final = 40
MAX_TEXT: Final = 300  # characters of an id, a label or a detail
MAX_SPLITS: Final = 30  # rows of the tables by split
MAX_PICTURE_BYTES: Final = 9_000_000  # 12 MB as base64: the page stays below 20 MB
MAX_SMALL: Final = 4_000  # thumbnails of the list of pairs, of a kilobyte each in base64
_SMALL_QUALITY: Final = 60
ALLOWED: Final = "judged to be no duplicates"
SAME_SCENE: Final = "the same scene, not the same picture"
_READ_AT_ONCE: Final = 32
_MAX_BARS: Final = 40
_SIMILARITY_STEPS: Final = 20


@dataclass(frozen=True, slots=True)
class Shown:
    """A sample in a gallery."""

    sample: int
    id: str
    split: str
    label: str | None
    picture: bool  # whether the page has it, as the class p and its number
    pair: int | None  # the listed pair that it makes with the first sample of its case


@dataclass(frozen=True, slots=True)
class Case:
    """Samples side by side, and what is said of them."""

    shown: tuple[Shown, ...]
    facts: str
    conflict: bool
    more: int = 0  # members that are not shown


@dataclass(frozen=True, slots=True)
class Bar:
    """One step of a histogram: how many candidates were accepted and rejected there."""

    label: str
    accepted: int
    rejected: int
    accepted_height: float  # of 100, logarithmic
    rejected_height: float
    is_limit: bool = False  # the last one within the limit of the run


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
    thumbnails = thumbnails or _thumbnails_of(stored["hashes"])
    cases = {
        "leaks": _leaks(stored),
        "conflicts": _pairs(stored, pc.equal(stored["pairs"]["label_conflict"], True)),
        "borderline": _pairs(stored, pc.equal(stored["pairs"]["kind"], "near")),
        "rejected": _rejected(stored, candidates(), summary["resolved"]),
        "groups": _groups(stored),
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
            _pictures,
            wanted,
            read,
            thumbnails,
            settings,
            engine or InlineEngine(),
        )
        places = {
            name: _places(gallery, listing, "in a group" if name == "groups" else "")
            for name, gallery in cases.items()
        }
        listing.fill(stored, summary["resolved"]["held_out"])
        histograms = _histograms(stored, candidates(), summary["resolved"])
        album = _album(wanted, pictures.result())

    small = _small(listing, album, thumbnails)
    galleries = {
        name: _cases(gallery, stored["manifest"], album, places[name])
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
        album=_rules({**album, **small}),
        understood=summary.get("understood", ""),
        recorded=recorded(summary.get("recordings")),
        not_read_line=in_a_line(summary.get("not_read", NOTHING)),
        written=written,
        opened=opened,
        shifted=shifted,
        gone=gone_with_every_match(summary),
        galleries=galleries,
        n_leaks=len(stored["leakage"]),
        chains=_chains(stored),
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


_Outline = tuple[tuple[int, ...], str, bool, int]  # samples, facts, conflict, more


def _leaks(stored: Mapping[str, pa.Table]) -> list[_Outline]:
    """The most doubtful first: those that a person should look at."""
    chosen = doubtful(stored["leakage"], stored["pairs"], MAX_LEAKS)
    ids = pa.array([row[key] for row in chosen for key in ("id", "witness_id")], pa.string())
    samples = tables.places(stored["manifest"]["id"], ids).to_pylist()

    return [
        ((samples[2 * k], samples[2 * k + 1]), pair_facts(row), row["label_conflict"], 0)
        for k, row in enumerate(chosen)
    ]


def _pairs(stored: Mapping[str, pa.Table], chosen: pa.ChunkedArray) -> list[_Outline]:
    """The most doubtful of the chosen pairs, then the least similar: where the tool may be
    wrong.
    """
    pairs = stored["pairs"].filter(chosen)
    rows = pairs.take(pa.array(by_doubt(pairs)[:MAX_PAIRS])).to_pylist()
    return [((row["a"], row["b"]), pair_facts(row), row["label_conflict"], 0) for row in rows]


def _groups(stored: Mapping[str, pa.Table]) -> list[_Outline]:
    """The largest groups, the keeper first."""
    groups = stored["groups"]
    numbers = groups["group"].to_numpy()
    sizes = np.bincount(numbers) if len(numbers) else np.empty(0, np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    outlines: list[_Outline] = []

    for number in np.argsort(-sizes, kind="stable")[:MAX_GROUPS]:
        samples = (
            groups["sample"]
            .slice(int(starts[number]), min(int(sizes[number]), MAX_MEMBERS))
            .to_pylist()
        )
        more = max(0, int(sizes[number]) - MAX_MEMBERS)
        outlines.append(
            (tuple(samples), f"{sizes[number]:,} images, the keeper first", False, more)
        )

    return outlines


def _rejected(
    stored: Mapping[str, pa.Table], candidates: Iterator[pa.Table], resolved: Mapping[str, Any]
) -> list[_Outline]:
    """The most similar candidates that were not accepted: what the tool may have missed, or a
    person has allowed.
    """
    pairs, n = stored["pairs"], len(stored["manifest"])
    accepted = pairs["a"].to_numpy() * n + pairs["b"].to_numpy()
    best = pa.concat_tables(_most_similar(part, accepted, n) for part in candidates)
    order = np.argsort(-best["similarity"].to_numpy(), kind="stable")[:MAX_PAIRS]
    labels = stored["manifest"]["label"]
    outlines: list[_Outline] = []

    for row in best.take(pa.array(order)).to_pylist():
        a, b = labels[row["a"]].as_py(), labels[row["b"]].as_py()
        named = {**row, "kind": "near", "transform": tables.TRANSFORMS[row["transform"]]}
        why = (
            ALLOWED
            if _within(row, resolved)
            else SAME_SCENE
            if _same_scene(row, resolved)
            else None
        )
        facts = pair_facts(named) + (f" · {why}" if why else "")
        outlines.append(((row["a"], row["b"]), facts, None not in (a, b) and a != b, 0))

    return outlines


def _most_similar(candidates: pa.Table, accepted: NDArray[np.int64], n_samples: int) -> pa.Table:
    """The first of those candidates that were verified and not accepted."""
    keys = candidates["a"].to_numpy() * n_samples + candidates["b"].to_numpy()
    similarity = np.where(
        np.isin(keys, accepted), -1.0, candidates["similarity"].fill_null(-1.0).to_numpy()
    )
    order = np.argsort(-similarity, kind="stable")[:MAX_PAIRS]

    return candidates.take(pa.array(order[similarity[order] >= 0]))


def _within(candidate: Mapping[str, Any], resolved: Mapping[str, Any]) -> bool:
    """Whether a candidate keeps all thresholds, so that only a list can have rejected it."""
    distances = {
        name: np.array([candidate[tables.distance_column(name)]]) for name in resolved["algorithms"]
    }
    if resolved.get("colour") == MUST_AGREE and candidate["colour_differs"]:
        return False

    near_enough = within(distances, resolved["max_distance"], resolved["combine"])[0]
    evidence = _evidence(candidate)

    return bool(near_enough and accepted(evidence, Limits.of(resolved))[0])


def _same_scene(candidate: Mapping[str, Any], resolved: Mapping[str, Any]) -> bool:
    """Whether the closer look is what rejects a candidate."""
    limits = Limits.of(resolved)
    if limits is None or candidate["close_similarity"] is None:
        return False

    looked_the_same = _evidence({**candidate, "close_similarity": 1.0})

    return bool(
        accepted(looked_the_same, limits)[0] and not accepted(_evidence(candidate), limits)[0]
    )


def _evidence(candidate: Mapping[str, Any]) -> Evidence:
    similarity, close, view = (
        candidate[name] for name in ("similarity", "close_similarity", "unframed")
    )
    # an older run has no structure
    return Evidence.of_one(similarity, candidate.get("structure"), close, view)


def _chains(stored: Mapping[str, pa.Table]) -> list[dict[str, Any]]:
    """The first chains: who leads where, over how many pairs."""
    rows = stored["chains"].slice(0, MAX_CHAINS).to_pylist()
    return [{"path": [_short(name) for name in row["path"]], "hops": row["hops"]} for row in rows]


def _near(pairs: pa.Table) -> int:
    """Pairs with something to judge."""
    return int(
        pc.sum(pc.invert(pc.is_in(pairs["kind"], pa.array(["bytes", "pixels"])))).as_py() or 0
    )


def _places(outlines: Sequence[_Outline], listing: Listing, said: str) -> list[list[int | None]]:
    """Where the pairs of each case are listed; `said` of them there, in place of the case's own
    facts.
    """
    return [
        [None, *(listing.place(samples[0], sample, said or facts) for sample in samples[1:])]
        for samples, facts, _, _ in outlines
    ]


def _cases(
    outlines: Sequence[_Outline],
    manifest: pa.Table,
    album: Mapping[int, str],
    places: Sequence[Sequence[int | None]],
) -> list[Case]:
    """The outlines with names and pictures."""
    cases = []
    for (samples, facts, conflict, more), listed in zip(outlines, places, strict=True):
        rows = manifest.take(pa.array(samples, pa.int64())).to_pylist()
        shown = tuple(
            Shown(
                row["sample"],
                _short(row["id"]),
                _short(row["split"] or ""),
                None if row["label"] is None else _short(row["label"]),
                row["sample"] in album,
                place,
            )
            for place, row in zip(listed, rows, strict=True)
        )
        cases.append(Case(shown, facts, conflict, more))

    return cases


def _short(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT // 2]} … {text[-MAX_TEXT // 2 :]}"


def _thumbnails_of(hashes: pa.Table) -> Callable[[Sequence[int]], Sequence[bytes | None]]:
    return lambda samples: list(hashes["thumbnail"].take(pa.array(samples, pa.int64())).to_pylist())


def _pictures(
    samples: Sequence[int],
    read: ReadSamples,
    thumbnails: Callable[[Sequence[int]], Sequence[bytes | None]],
    settings: HashConfig,
    engine: Engine,
) -> dict[int, bytes]:
    """A small JPEG of each sample, from the dataset or, where it cannot be had there, from the
    thumbnail.
    """
    batches = (
        batch
        for start in range(0, len(samples), _READ_AT_ONCE)
        for batch in read(samples[start : start + _READ_AT_ONCE])
    )
    setup = {"max_pixels": settings.max_pixels, "background": settings.background}
    shown = (data for part in engine.run(WORK, setup, batches) for data in part["jpeg"].to_pylist())
    # There are none if the dataset is gone.
    found = {sample: data for sample, data in zip(samples, shown, strict=False) if data is not None}

    others = [sample for sample in samples if sample not in found]
    if others:  # picking some reads the whole column
        for sample, stored in zip(others, thumbnails(others), strict=True):
            if stored:
                found[sample] = jpeg(Image.frombytes("L", (tables.THUMBNAIL_SIDE,) * 2, stored))

    return found


def _album(wanted: Sequence[int], pictures: Mapping[int, bytes]) -> dict[int, str]:
    """The pictures in base64, each once, as many as the page may hold."""
    album: dict[int, str] = {}
    budget = MAX_PICTURE_BYTES
    for sample in wanted:
        cost = len(pictures.get(sample, b""))
        if 0 < cost <= budget:
            budget -= cost
            album[sample] = base64.b64encode(pictures[sample]).decode()

    return album


def _rules(album: Mapping[int, str]) -> dict[str, str]:
    """Of each picture the CSS classes of the samples that show it: copies often are one picture."""
    rules: dict[str, list[str]] = {}
    for sample, data in album.items():
        rules.setdefault(data, []).append(f".p{sample}")
    return {data: ",".join(names) for data, names in rules.items()}


def _small(
    listing: Listing,
    album: Mapping[int, str],
    thumbnails: Callable[[Sequence[int]], Sequence[bytes | None]],
) -> dict[int, str]:
    """Stored thumbnails in base64 for the listed pairs that are in no gallery, as many as there is
    room for.
    """
    listed = dict.fromkeys(sample for pair in listing.samples for sample in pair)
    others = [sample for sample in listed if sample not in album][:MAX_SMALL]
    if not others:
        return {}

    stored = zip(others, thumbnails(others), strict=True)
    side = (tables.THUMBNAIL_SIDE,) * 2

    return {
        sample: base64.b64encode(jpeg(Image.frombytes("L", side, grey), _SMALL_QUALITY)).decode()
        for sample, grey in stored
        if grey
    }


def _histograms(
    stored: Mapping[str, pa.Table], candidates: Iterator[pa.Table], resolved: Mapping[str, Any]
) -> dict[str, list[Bar]]:
    """Candidates by distance in each algorithm, and by similarity; accepted and rejected side by
    side.
    """
    near = stored["pairs"].filter(pc.equal(stored["pairs"]["kind"], "near"))
    names = tables.algorithms_of(near)
    by_bits = {name: np.zeros(0, np.int64) for name in names}
    edges = np.append(np.linspace(0, 1, _SIMILARITY_STEPS + 1)[:-1], 1 + 1e-6)
    by_similarity = np.zeros(_SIMILARITY_STEPS, np.int64)

    for part in candidates:
        for name in names:
            by_bits[name] = _sum(
                by_bits[name], np.bincount(part[tables.distance_column(name)].to_numpy())
            )
        by_similarity += np.histogram(part["similarity"].drop_null().to_numpy(), edges)[0]

    found = {}
    for name, everything in by_bits.items():
        step = max(1, math.ceil(len(everything) / _MAX_BARS))
        accepted = np.bincount(
            near[tables.distance_column(name)].to_numpy(), minlength=max(1, len(everything))
        )
        starts = range(0, max(1, len(everything)), step)
        found[f"{name}, bits"] = _bars(
            [int(everything[k : k + step].sum()) for k in starts],
            [int(accepted[k : min(k + step, len(everything))].sum()) for k in starts],
            [f"{k}" for k in starts],
            _place_of_limit(resolved["max_distance"].get(name), step),
        )

    if by_similarity.any():
        accepted = np.histogram(near["similarity"].to_numpy(), edges)[0]
        found["similarity"] = _bars(
            by_similarity.tolist(), accepted.tolist(), [f"{edge:.2f}" for edge in edges[:-1]]
        )

    return found


def _sum(one: NDArray[np.int64], two: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of counts, of which one may go further."""
    out = np.zeros(max(len(one), len(two)), np.int64)
    out[: len(one)] += one
    out[: len(two)] += two
    return out


def judged_sample(summary: Mapping[str, Any]) -> str:
    """The precision that a judged sample shows, in a sentence; empty where there is none."""
    found = summary.get("precision")
    return precision_sentence(found) if found else ""


def _place_of_limit(distance: int | None, step: int) -> int | None:
    return None if distance is None else distance // step


def _bars(
    everything: Sequence[int],
    accepted: Sequence[int],
    labels: Sequence[str],
    limit: int | None = None,
) -> list[Bar]:
    top = math.log10(1 + max(*everything, 1))
    return [
        Bar(
            label,
            n,
            of_all - n,
            100 * math.log10(1 + n) / top,
            100 * math.log10(1 + of_all - n) / top,
            place == limit,
        )
        for place, (label, of_all, n) in enumerate(zip(labels, everything, accepted, strict=True))
    ]


def _unreadable(stored: Mapping[str, pa.Table]) -> list[dict[str, Any]]:
    bad = pc.not_equal(stored["hashes"]["status"], "ok")
    some = stored["hashes"].filter(bad).slice(0, MAX_UNREADABLE)
    of = stored["manifest"].take(some["sample"])

    return [
        {
            "id": _short(name),
            "split": _short(split or ""),
            "status": status,
            "detail": _short(detail or ""),
        }
        for name, split, status, detail in zip(
            of["id"].to_pylist(),
            of["split"].to_pylist(),
            some["status"].to_pylist(),
            some["detail"].to_pylist(),
            strict=True,
        )
    ]
