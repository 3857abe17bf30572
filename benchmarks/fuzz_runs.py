"""Whole runs with random settings over made-up datasets, and an oracle that knows which pictures
were made of which.

The oracle is set algebra over the samples; of the package it uses nothing. What it demands of every
run:

- every sample has one decision, and each rule of the policy has dropped exactly what it should, or
  what it may;
- a dropped sample names one that it matches and that is kept;
- what was written are the bytes of what was kept, no more and no less, in their splits where the
  form says them;
- the certificate says clean wherever leaks were to be removed; two workers give the same tables as
  one.
"""

import csv
import io
import random
import tarfile
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq
from PIL import ImageOps

import dedup
from dedup.errors import DedupError
from tests import pictures
from tests.formats import annotated, made

SUFFIXES: Final = {".png", ".jpg"}


def _yolo(root: Path, rows: list[made.Row]) -> dict[str, Any]:
    """A YOLO dataset. Its data.yaml names three folders, of which one may be empty."""
    for split in ("train", "val", "test"):
        (root / "images" / split).mkdir(parents=True, exist_ok=True)

    return annotated.yolo(root, rows)


FORMS: Final[dict[str, Callable[[Path, list[made.Row]], dict[str, Any]]]] = {
    **made.MAKERS,
    "coco": annotated.coco,
    "yolo": _yolo,
}
LISTS_OF: Final = {"manifest": "files/", "saved": "", "parquet": "", "arrow": "", "webdataset": ""}
"""Forms whose ids are known before a run, with what stands before the name in them."""
CAPTIONED: Final = {"metadata", "webdataset"}
"""Forms in which every row has a caption of its own."""
BOXED: Final = {"coco", "yolo"}
"""Forms in which rows have boxes."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One made-up file."""

    row: made.Row
    picture: tuple[int, str]  # the photo and what was done to it; equal: the same pixels
    readable: bool
    reference: bool

    @property
    def held_out(self) -> bool:
        """Whether a match with it is a leak."""
        return self.reference or self.row.split != "train"


class World:
    """Samples and which of them match."""

    def __init__(self, chance: random.Random, *, references: bool) -> None:
        self.samples: dict[str, Sample] = {}
        self.apart: set[frozenset[tuple[int, str]]] = set()
        self.together: set[frozenset[tuple[int, str]]] = set()
        self.turned = False
        chosen = chance.sample(range(1_000), chance.randrange(5, 10))
        for seed in chosen:
            image = pictures.photo(seed)
            png, jpeg = pictures.encoded(image), pictures.encoded(image, "JPEG", quality=92)
            mirrored = pictures.encoded(ImageOps.mirror(image))
            variants = {"png": png, "same": png, "jpeg": jpeg, "mirrored": mirrored}
            for kind in ("png", *chance.choices(list(variants), k=chance.choice((0, 0, 1, 2, 3)))):
                reference = references and chance.random() < 0.2
                self._add(
                    chance,
                    variants[kind],
                    (seed, "png" if kind == "same" else kind),
                    reference=reference,
                )
        for number in range(chance.choice((0, 1, 2))):
            whole = pictures.encoded(pictures.photo(2_000 + number))
            self._add(
                chance,
                whole[: len(whole) // 2],
                (2_000 + number, "cut"),
                reference=False,
                readable=False,
            )
        for split, seed in (("train", 3_001), ("test", 3_002)):  # so that neither is empty
            data = pictures.encoded(pictures.photo(seed))
            self._add(chance, data, (seed, "png"), reference=False, split=split)
        if references:
            self._add(
                chance, pictures.encoded(pictures.photo(3_003)), (3_003, "png"), reference=True
            )

    def _add(
        self,
        chance: random.Random,
        data: bytes,
        picture: tuple[int, str],
        *,
        reference: bool,
        readable: bool = True,
        split: str | None = None,
    ) -> None:
        kind, suffix = "r" if reference else "s", "jpg" if picture[1] == "jpeg" else "png"
        name = f"{kind}{len(self.samples):03d}.{suffix}"
        split = (
            "train"
            if reference
            else split or chance.choice(("train", "train", "train", "test", "validation"))
        )
        row = made.Row(name, split, chance.choice(("cat", "dog")), data)
        self.samples[name] = Sample(row, picture, readable, reference)

    def match(self, one: str, other: str) -> bool:
        """Whether two samples are a pair."""
        a, b = self.samples[one], self.samples[other]
        if one == other or not (a.readable and b.readable):
            return False
        if a.picture == b.picture:
            return True
        both = frozenset((a.picture, b.picture))
        if both in self.together or both in self.apart:
            return both in self.together
        mirrored = (a.picture[1] == "mirrored") != (b.picture[1] == "mirrored")
        return a.picture[0] == b.picture[0] and (self.turned or not mirrored)

    def matches(self, name: str, among: set[str]) -> set[str]:
        """Those of some samples that one matches."""
        return {other for other in among if self.match(name, other)}


def fuzz(first: int, count: int, seed: int, say: Callable[[str], None]) -> int:
    """Runs number `first` and on; the number of faults."""
    outcomes: Counter[str] = Counter()
    begin, n_faults = time.monotonic(), 0
    for number in range(first, first + count):
        chance = random.Random(f"{seed} runs {number}")  # not a secret
        try:
            with tempfile.TemporaryDirectory() as folder:
                outcome = _one(Path(folder), chance, number)
        except AssertionError as error:
            outcome = f"FAULT {error}"
        except Exception:  # noqa: BLE001  # finding these is what this is for
            outcome = f"FAULT {traceback.format_exc(limit=-3)}"
        if outcome.startswith("FAULT"):
            say(f"  run {number}: {outcome}")
            n_faults += 1
        outcomes[outcome.split(":")[0].split("\n")[0]] += 1
    ends = ", ".join(f"{name} {n:,}" for name, n in sorted(outcomes.items()))
    say(f"runs: {count:,}, {n_faults} faults, {time.monotonic() - begin:,.0f} s: {ends}")
    return n_faults


def _one(folder: Path, chance: random.Random, number: int) -> str:
    form = chance.choice(sorted(FORMS))
    references = chance.random() < 0.3
    world = World(chance, references=references)
    policy: dict[str, Any] = {
        "leakage": chance.choice(
            ("drop_from_train", "drop_from_train", "drop_from_held_out", "regroup", "report_only")
        ),
        "duplicates": chance.choice(("keep_best", "keep_first", "report_only")),
        "unreadable": chance.choice(("drop_from_train", "drop", "keep")),
        "max_moved": 1.0,
    }
    orientations = chance.choice(("upright", "mirrored", "all"))
    world.turned = orientations != "upright"
    own = sorted(
        (s.row for s in world.samples.values() if not s.reference), key=lambda row: row.name
    )
    settings = FORMS[form](folder / "data", own)
    if references:
        named = made.imagefolder(
            folder / "seen", [s.row for s in world.samples.values() if s.reference]
        )
        settings = {"sources": [settings, {**named, "reference": True}]}
    elif form in LISTS_OF and chance.random() < 0.5:
        policy |= _lists(world, folder, chance, LISTS_OF[form])
    splits = chance.choice(
        ("same", "same", "parquet", "manifest", "imagefolder", "webdataset", "none")
    )
    config = {
        "dataset": settings,
        "search": {"orientations": orientations},
        "policy": policy,
        "output": {
            "dir": str(folder / "out"),
            "splits": splits,
            "files": chance.choice(("hardlink", "copy", "symlink")),
            "report": chance.random() < 0.2,
        },
        "engine": {"workers": 0 if number % 10 else 2},
        "cache": {"folder": None},
    }
    policy["distinct"] = chance.choice(("image", "image", "row"))
    if form in BOXED:
        policy["distinct"] = "image"  # boxes of two rows may be the same, or not
    # Rows of one image with different captions are not duplicates of each other then.
    apart = policy["distinct"] == "row" and form in CAPTIONED
    about = f"{form}, {splits}, {orientations}, {policy}, references {references}"
    try:
        result = dedup.run(config)
    except DedupError as error:
        if policy["leakage"] == "regroup" and "regroup" in str(error):
            return "refused regroup"
        raise AssertionError(f"{about}: {error}") from error  # noqa: EM102
    try:
        _check(world, result, policy | ({"duplicates": "report_only"} if apart else {}))
        _check_written(world, result, folder / "out" / "splits", splits, form)
        if number % 10 == 0:
            again = dedup.run(
                {
                    **config,
                    "engine": {"workers": 0},
                    "output": {"dir": str(folder / "b"), "splits": "none"},
                }
            )
            for name in ("pairs", "leakage", "groups"):
                _demand(
                    result.tables[name].equals(again.tables[name]), f"{name} depends on the workers"
                )
    except AssertionError as error:
        raise AssertionError(f"{about}: {error}") from error  # noqa: EM102
    return "ok"


def _lists(world: World, folder: Path, chance: random.Random, before: str) -> dict[str, str]:
    """Two pictures that a person says are no duplicates, and two that are."""
    of = {sample.picture: name for name, sample in world.samples.items() if sample.readable}
    found = {}
    near = [
        (a, b) for a in of for b in of if a < b and a[0] == b[0] and {a[1], b[1]} == {"jpeg", "png"}
    ]
    far = [(a, b) for a in of for b in of if a[0] < b[0]]
    for key, pairs, noted in (
        ("not_duplicates_list", near, world.apart),
        ("duplicates_list", far, world.together),
    ):
        if pairs:
            a, b = chance.choice(pairs)
            noted.add(frozenset((a, b)))
            path = folder / f"{key}.csv"
            path.write_text(f"id_a,id_b\n{before}{of[a]},{before}{of[b]}\n", encoding="utf-8")
            found[key] = str(path)
    return found


def _demand(condition: bool, text: str) -> None:  # noqa: FBT001
    if not condition:
        raise AssertionError(text)


def _check(world: World, result: dedup.Run, policy: dict[str, Any]) -> None:
    """Whether the decisions are what the policy says."""
    rows = {
        row["id"].rpartition("/")[2].rpartition(":")[2]: row for row in result.decisions.to_pylist()
    }
    _demand(rows.keys() == world.samples.keys(), f"decisions are of {sorted(rows)}")
    action = {name: row["action"] for name, row in rows.items()}
    readable = {name for name, sample in world.samples.items() if sample.readable}
    _demand(
        {n for n, a in action.items() if a == "unreadable"} == rows.keys() - readable,
        "what is unreadable",
    )
    kept = {name for name in readable if action[name] in {"keep", "move"}}
    outside = {name for name in readable if world.samples[name].held_out}
    reference = {name for name in readable if world.samples[name].reference}
    train = readable - outside
    _check_train(
        world,
        rows,
        kept,
        train,
        outside if policy["leakage"] == "drop_from_train" else reference,
        policy,
    )
    if policy["leakage"] == "drop_from_held_out":
        leaked = {name for name in outside - reference if world.matches(name, kept & train)}
        _demand(
            outside - kept == leaked, f"dropped of the held-out {outside - kept}, expected {leaked}"
        )
    elif policy["leakage"] != "regroup":
        _demand(outside <= kept, f"dropped of the held-out {outside - kept}")
    if policy["leakage"] == "regroup":
        now = {name: rows[name]["new_split"] or world.samples[name].row.split for name in kept}
        in_train = {name for name in kept if now[name] == "train"}
        moved = {name for name in outside - reference if world.matches(name, in_train)}
        _demand(
            outside - kept <= moved,
            f"dropped of the held-out, and no duplicate: {outside - kept - moved}",
        )
        crossing = {
            (a, b)
            for a in kept - reference
            for b in kept - reference
            if (now[a] == "train") != (now[b] == "train") and world.match(a, b)
        }
        _demand(not crossing, f"still across after regroup: {crossing}")
    if not reference:
        found = {id_.rpartition("/")[2] for id_ in result.leakage["id"].to_pylist()}
        leaking = {name for name in train if world.matches(name, outside)}
        _demand(found == leaking, f"leaks {found}, expected {leaking}")
    certificate = result.summary["certificate"]
    if certificate is not None and policy["leakage"] != "report_only":
        _demand(certificate["clean"], f"the certificate says {certificate['statement']}")


def _check_train(
    world: World,
    rows: dict[str, dict[str, Any]],
    kept: set[str],
    train: set[str],
    ends: set[str],
    policy: dict[str, Any],
) -> None:
    """What left train, and why."""
    if policy["leakage"] == "report_only":
        ends = set()
    leaking = {name for name in train if world.matches(name, ends)}
    _demand(not leaking & kept, f"leaks are kept: {leaking & kept}")
    rest = train - leaking
    if policy["leakage"] != "regroup":
        doubled = {name for name in rest & kept if world.matches(name, rest & kept)}
        if policy["duplicates"] == "report_only":
            _demand(rest <= kept, f"dropped without a rule: {rest - kept}")
        else:
            _demand(not doubled, f"duplicates in train: {doubled}")
    for name in sorted(train - kept):
        witness = (rows[name]["witness_id"] or "").rpartition("/")[2].rpartition(":")[2]
        _demand(witness in kept, f"the witness {witness!r} of {name} is not kept")
        _demand(world.match(name, witness), f"{name} does not match its witness {witness}")


def _check_written(world: World, result: dedup.Run, folder: Path, splits: str, form: str) -> None:
    """Whether the written bytes are those of what was kept."""
    if splits == "none":
        return
    expected: Counter[tuple[str, bytes]] = Counter()
    for row in result.decisions.to_pylist():
        sample = world.samples[row["id"].rpartition("/")[2].rpartition(":")[2]]
        written = row["action"] in {"keep", "move"} or row["reason"] == "unreadable, kept"
        if written and not sample.reference:
            expected[row["new_split"] or sample.row.split, sample.row.data] += 1
    found = _written(folder, splits if splits != "same" else form)
    if any(split == "" for split, _ in found):
        plain: Counter[tuple[str, bytes]] = Counter()
        for (_, data), n in expected.items():
            plain["", data] += n
        expected = plain
    short = {(split, len(data)): n for (split, data), n in (expected - found).items()}
    more = {(split, len(data)): n for (split, data), n in (found - expected).items()}
    _demand(expected == found, f"not written: {short}, written beside: {more}")


def _of_tar(path: Path) -> Iterator[bytes]:
    """The pictures in a tar file."""
    with tarfile.open(path) as tar:
        for member in tar:
            if Path(member.name).suffix in SUFFIXES and (content := tar.extractfile(member)):
                yield content.read()


def _written(folder: Path, form: str) -> Counter[tuple[str, bytes]]:
    """Split ("" where the place does not say it) and bytes of every picture in a folder."""
    found: Counter[tuple[str, bytes]] = Counter()
    if form in {"parquet", "saved", "arrow", "huggingface"}:
        for path in folder.glob("**/*.parquet"):
            for image in pq.read_table(path)["image"].to_pylist():
                found[path.name.split("-")[0], image["bytes"]] += 1
    elif form == "webdataset":
        found.update(("", data) for path in folder.glob("**/*.tar") for data in _of_tar(path))
    elif form == "manifest":
        for path in folder.glob("*.csv"):
            for row in csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))):
                found[row["split"], (folder / row["path"]).read_bytes()] += 1
    else:
        for path in folder.glob("**/*"):
            if path.suffix in SUFFIXES and path.is_file():
                inner = path.relative_to(folder).parts[0]
                split = inner if inner in {"train", "test", "validation"} else ""
                found[split, path.read_bytes()] += 1
    return found
