"""Calibration: decoys and bounds against double loops, simulated sets with known false pairs, and
the command.
"""

import csv
import json
import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image, ImageOps
from typer.testing import CliRunner

import dedup
from dedup import cli
from dedup.calibration.calibrate import decoy_thumbnails, thumbnail_codes
from dedup.calibration.table import (
    Calibration,
    Hits,
    Row,
    calibrated,
    count_bound,
    pairs_needed,
    picked,
    poisson_bound,
)
from dedup.errors import ConfigError, RunError
from dedup.graph import components as connected
from dedup.hashers.thumbnail import thumbnail
from dedup.reporting.components import components
from dedup.runs import folder
from dedup.verify import similarities
from tests import naive, pictures

# --- numbers --------------------------------------------------------------------------------------


def hits(
    rows: Sequence[tuple[int, int, int]], confirmed: Sequence[bool] = (), **options: int
) -> Hits:
    """Pairs as (a, b, distance) in one algorithm, none confirmed unless said."""
    a, b, distance = (np.array([row[k] for row in rows], np.int64) for k in range(3))
    sure = np.array(confirmed, bool) if confirmed else np.zeros(len(rows), bool)
    return Hits(a, b, {"dhash": distance.astype(np.uint16)}, sure, **options)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 30, 100, 101, 400])
def test_the_bound_of_a_count(count: int) -> None:
    """With that mean, a Poisson count is as small as this in one case of twenty."""
    mean = poisson_bound(count)
    chance = math.fsum(
        math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(count + 1)
    )

    assert chance == pytest.approx(0.05, rel=0.002)


def test_the_bound_covers_simulated_counts() -> None:
    """Independent pairs: the bound is above the true mean in at least 95 of 100 cases, and not far
    above.
    """
    rng = np.random.default_rng(1)
    for mean in (0.5, 5, 40):
        bounds = []
        for _ in range(400):
            n_pairs = rng.poisson(mean)
            bounds.append(count_bound(300, pairs_of(rng, n_pairs, 300)))
        assert np.mean(np.array(bounds) >= mean) >= 0.94
        assert np.median(bounds) < mean + 3 + 3 * math.sqrt(mean)


def pairs_of(rng: np.random.Generator, n_pairs: int, n: int) -> Hits:
    found = [tuple(rng.choice(n, 2, replace=False)) for _ in range(n_pairs)]
    return hits([(int(a), int(b), 0) for a, b in found]) if found else hits([])


def test_the_bound_knows_that_pairs_share_pictures() -> None:
    """Some pictures resemble many others: a plain Poisson bound is too low far too often, ours is
    not.
    """
    rng = np.random.default_rng(2)
    n, trials = 200, 300
    # each hub, one picture in 33, meets a fifth of the others
    plain, ours, truth = (
        [],
        [],
        0.03 * 0.2 * n * n,
    )
    for _ in range(trials):
        hubs = np.flatnonzero(rng.random(n) < 0.03)
        found = {
            (min(h, o), max(h, o))
            for h in hubs.tolist()
            for o in np.flatnonzero(rng.random(n) < 0.2).tolist()
        }
        rows = [(a, b, 0) for a, b in sorted(found) if a != b]
        plain.append(poisson_bound(len(rows)))
        ours.append(count_bound(n, hits(rows)) if rows else poisson_bound(0))

    assert np.mean(np.array(plain) >= truth * 0.97) < 0.75
    assert np.mean(np.array(ours) >= truth * 0.97) > 0.85


def test_pairs_seen_from_both_ends_count_once() -> None:
    """A decoy hit (a, b) and its twin (b, a) are one pair, in the count and in the bound."""
    once = hits([(0, 1, 2), (2, 3, 4)])
    twice = hits([(0, 1, 2), (1, 0, 2), (2, 3, 4), (3, 2, 4)], seen=2)
    pairs = hits([(k, k + 1, 1) for k in range(50)])
    rows = [
        calibrated(60, pairs, {"flip": decoy}, {"dhash": 5})[0]["dhash"] for decoy in (once, twice)
    ]

    assert rows[0] == rows[1]
    assert [0, 0, 1, 1, 2, 2] == [row.chance["flip"] for row in rows[0]]
    assert count_bound(60, once) == count_bound(60, twice)


def test_confirmed_decoys_are_no_chance() -> None:
    """A decoy hit that verification confirms is a true flipped copy: it is left out."""
    decoy = hits([(0, 1, 2), (2, 3, 2), (4, 5, 3)], [True, False, False])
    rows = calibrated(60, hits([(0, 1, 2)] * 20), {"flip": decoy}, {"dhash": 3})[0]["dhash"]

    assert [0, 0, 1, 2] == [row.chance["flip"] for row in rows]


def test_each_orientation_searched_is_one_more_chance() -> None:
    """Decoys of one orientation stand for all that are searched, in the number and in the bound."""
    pairs = hits([(k, k + 1, 1) for k in range(500)])
    one, eight = (
        calibrated(600, pairs, {"flip": hits([(0, 1, 0)], views=views)}, {"dhash": 0})[0]["dhash"][
            0
        ]
        for views in (1, 8)
    )

    assert 8 * one.chance["flip"] == eight.chance["flip"]


def test_picked_is_the_loosest_that_is_safe() -> None:
    """Both bounds must hold; the decoys alone may allow more, and too little data allows
    nothing.
    """

    def row(distance: int, pairs: int, chance: float, unconfirmed: float) -> Row:
        return Row({"dhash": distance}, pairs, {"flip": 0.0}, chance, pairs, unconfirmed)

    rows = [
        row(0, 0, 1.0, 1.0),
        row(1, 500, 0.006, 0.006),
        row(2, 600, 0.008, 0.03),
        row(3, 900, 0.02, 0.2),
    ]
    chosen, by_chance = picked(rows, 0.01), picked(rows, 0.01, verified=False)

    assert chosen is not None
    assert chosen.distances == {"dhash": 1}
    assert by_chance is not None
    assert by_chance.distances == {"dhash": 2}
    assert picked(rows, 0.001) is None
    assert 300 == pairs_needed(0.01)


def test_known_false_pairs_are_bounded() -> None:
    """Uniform codes with planted copies: the bound of the chance share is above the true share of
    false pairs.
    """
    rng = random.Random(3)
    n_codes, n_bits = 400, 24
    codes = [rng.getrandbits(n_bits) for _ in range(n_codes)]
    copies = [(k, k + n_codes // 2) for k in range(60)]
    for a, b in copies:
        codes[b] = codes[a] ^ (1 << rng.randrange(n_bits))
    decoys = [rng.getrandbits(n_bits) for _ in range(n_codes)]  # the same statistics, no copies
    near = [
        (a, b, (codes[a] ^ codes[b]).bit_count())
        for a in range(n_codes)
        for b in range(a + 1, n_codes)
        if (codes[a] ^ codes[b]).bit_count() <= 6
    ]
    chance = [
        (a, b, (codes[a] ^ decoys[b]).bit_count())
        for a in range(n_codes)
        for b in range(a + 1, n_codes)
        if (codes[a] ^ decoys[b]).bit_count() <= 6
    ]
    rows = calibrated(n_codes, hits(near), {"decoy": hits(chance)}, {"dhash": 6})[0]["dhash"]
    for row in rows[1:]:
        false = sum(d <= row.distances["dhash"] and (a, b) not in copies for a, b, d in near)
        assert row.pairs == sum(d <= row.distances["dhash"] for _, _, d in near)
        assert false / row.pairs <= row.chance_bound
    best = picked(rows, 0.2, verified=False)
    assert best is not None
    assert best.distances["dhash"] >= 1


# --- components -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_components_are_those_of_a_search(seed: int) -> None:
    """The labels are the lowest nodes of the components that breadth-first search finds."""
    rng = random.Random(seed)
    n = rng.randint(1, 60)
    edges = [(rng.randrange(n), rng.randrange(n)) for _ in range(rng.randint(0, 50))]
    expected = {node: min(found) for found in naive.components(n, edges) for node in found}
    a, b = (np.array([edge[k] for edge in edges], np.int64) for k in (0, 1))

    assert [expected[node] for node in range(n)] == connected(n, a, b).tolist()


def test_a_chain_is_one_component_and_no_group() -> None:
    """A path of pairs is one component; the largest group in it has a keeper and its two
    neighbours.
    """
    import pyarrow as pa

    pairs = pa.table({"a": pa.array(range(9), pa.int64()), "b": pa.array(range(1, 10), pa.int64())})
    groups = pa.table({"group": [0, 0, 0, 1, 1], "sample": [1, 0, 2, 4, 3]})
    found = components(pairs, groups, 12)

    assert (1, 10, 10, 3) == tuple(
        found[key] for key in ("number", "images", "largest", "largest_group_in_it")
    )
    none = components(pairs.slice(0, 0), groups.slice(0, 0), 12)
    assert (0, 0, 0, 0) == tuple(
        none[key] for key in ("number", "images", "largest", "largest_group_in_it")
    )


@pytest.mark.parametrize("word", ["components", "connected_components", "drop_components"])
def test_nothing_is_deleted_by_component(word: str) -> None:
    """Whoever asks for it is told why not."""
    with pytest.raises(
        ConfigError,
        match=r"policy.duplicates: .* is refused: components chain: a like b and b like c",
    ):
        dedup.audit("anywhere", policy={"duplicates": word})


# --- from pictures to the table -------------------------------------------------------------------


def dataset(root: Path, n: int = 130, n_copies: int = 25) -> Path:
    """Different photos and copies of some of them at several qualities, all in one folder."""
    for seed in range(n):
        pictures.save(pictures.photo(seed), root / f"{seed:03}.png")
    for seed in range(n_copies):
        pictures.save(pictures.photo(seed), root / f"copy{seed:03}.jpg", quality=20 + 3 * seed)
    return root


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dedup.Run:
    """A finished run over such a folder."""
    root = tmp_path_factory.mktemp("calibration")
    settings = {
        "dataset": {"path": str(dataset(root / "photos"))},
        "output": {"dir": str(root / "run"), "splits": "none", "report": False},
        "engine": {"workers": 0},
    }
    return dedup.run(settings)


ALTERED = {
    "flip": ImageOps.flip,
    "half-turn": lambda image: image.rotate(180),
    "negative": ImageOps.invert,
}


@pytest.mark.parametrize("name", ALTERED)
@pytest.mark.parametrize("algorithm", ["dhash", "phash", "ahash", "whash"])
def test_codes_of_altered_thumbnails_are_those_of_altered_pictures(
    name: str, algorithm: str
) -> None:
    """The codes that decoys get from thumbnails are a bit or two from what hashing the altered
    pictures gives.
    """
    photos = [pictures.photo(seed) for seed in range(60)]
    altered = [ALTERED[name](photo) for photo in photos]
    expected = dedup.hash_images(altered, algorithm=algorithm)
    small = decoy_thumbnails(np.stack([thumbnail(photo) for photo in photos]), name)
    got = thumbnail_codes(small, algorithm, 64, "compat").view(np.uint8)
    differ = np.unpackbits(expected ^ got, axis=1).sum(axis=1)

    assert differ.mean() <= 2
    assert np.quantile(differ, 0.9) <= 4


def expected_rows(run: dedup.Run, limit: int) -> dict[tuple[str, int], tuple[int, float, int]]:
    """Pairs, decoys and confirmed pairs by double loop over the stored codes and thumbnails."""
    table = run.hashes.to_pylist()
    small = np.stack([np.frombuffer(row["thumbnail"], np.uint8).reshape(32, 32) for row in table])
    n = len(table)

    def near(
        others: Sequence[bytes], thumbnails: NDArray[np.uint8], name: str
    ) -> list[tuple[int, float]]:
        all_near = [
            (a, b, bits)
            for a in range(n)
            for b in range(n)
            if a != b and (bits := naive.hamming(table[a][name], others[b])) <= limit
        ]
        a, b = (np.array([row[k] for row in all_near], np.int64) for k in (0, 1))
        alike = similarities(np.concatenate([small, thumbnails]), a, n + b)
        return [(bits, value) for (_, _, bits), value in zip(all_near, alike.tolist(), strict=True)]

    rows: dict[tuple[str, int], tuple[int, float, int]] = {}
    for name in ("dhash", "phash"):
        own = near([row[name] for row in table], small, name)
        flipped = small[:, ::-1]
        turned = [Image.fromarray(np.ascontiguousarray(grey)) for grey in flipped]
        codes = [bytes(code) for code in dedup.hash_images(turned, algorithm=name)]
        decoys = [bits for bits, alike in near(codes, flipped, name) if alike < 0.9]
        for distance in range(limit + 1):
            rows[name, distance] = (
                sum(bits <= distance for bits, _ in own) // 2,
                sum(bits <= distance for bits in decoys) / 2,
                sum(int(bits <= distance and bool(alike >= np.float32(0.9))) for bits, alike in own)
                // 2,
            )
    return rows


def test_the_table_equals_a_double_loop(made: dedup.Run) -> None:
    """Pairs, flipped decoys and confirmed pairs of every distance are those that comparing all with
    all gives.
    """
    got = dedup.calibrate(made)
    expected = expected_rows(made, 14)

    assert {14} == set(got.max_distance.values())
    assert expected == {
        (name, row.distances[name]): (row.pairs, row.chance["flip"], row.confirmed)
        for name, rows in got.alone.items()
        for row in rows
    }
    assert max(row.confirmed for row in got.alone["dhash"]) >= 20
    for row in got.both:
        assert row.pairs <= min(
            got.alone[name][distance].pairs for name, distance in row.distances.items()
        )


def test_run_folder_and_dataset_agree(made: dedup.Run) -> None:
    """A run in memory, its folder, and the dataset itself give the same numbers."""
    assert made.dir is not None
    expected = dedup.calibrate(made)

    assert expected == dedup.calibrate(made.dir)
    assert expected == dedup.calibrate(made.dir.parent / "photos", workers=0)
    with pytest.raises(ConfigError, match="these do not apply: max_distance"):
        dedup.calibrate(made, max_distance=3)


@pytest.mark.parametrize(
    ("orientations", "decoys"), [("mirrored", {"flip", "half-turn"}), ("all", {"flip", "negative"})]
)
def test_other_decoys_where_orientations_are_searched(
    tmp_path: Path, orientations: str, decoys: set[str]
) -> None:
    """A search of all orientations finds flipped copies, so they are no chance, and negatives are a
    decoy.
    """
    root = dataset(tmp_path / "photos", 110, 3)
    for seed in range(50, 58):
        pictures.save(ImageOps.flip(pictures.photo(seed)), root / f"flipped{seed}.png")
    got = dedup.calibrate(root, search={"orientations": orientations}, workers=0)

    assert decoys == set(got.taken_out) == set(got.alone["dhash"][0].chance)
    assert got.taken_out["flip"] == 8
    assert got.alone["dhash"][0].chance["flip"] == 0


# --- the command ----------------------------------------------------------------------------------


def command(*arguments: str | Path) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli.app, ["calibrate", *map(str, arguments)], env={"COLUMNS": "120"})
    return done.exit_code, done.stdout, done.stderr


def test_the_command_on_a_run(made: dedup.Run) -> None:
    """It prints a table for each algorithm and writes numbers and plot into the run's folder."""
    assert made.dir is not None
    code, out, _ = command(made.dir, "--max-fdr", "0.2")

    assert code == 0
    assert "dhash, 64 bits" in out
    assert "phash, 64 bits" in out
    assert "half-turn" in out
    stored = json.loads((made.dir / folder.CALIBRATION).read_text())
    assert stored["alone"]["dhash"][14]["pairs"] == dedup.calibrate(made).alone["dhash"][14].pairs
    drawing = ET.fromstring((made.dir / folder.CALIBRATION_PLOT).read_text())
    assert 8 == sum(element.tag.endswith("polyline") for element in drawing.iter())


def test_what_it_proposes_can_be_pasted(made: dedup.Run, tmp_path: Path) -> None:
    """The lines for --max-fdr are a config that runs, and finds the pairs that the table says."""
    assert made.dir is not None
    _, out, _ = command(made.dir, "--max-fdr", "0.2")
    block = out[out.index("hash:\n") :].split("method: none")[0] + "method: none\n"
    settings = yaml.safe_load(block)
    settings |= {"dataset": {"path": str(made.dir.parent / "photos")}, "output": {"splits": "none"}}
    run = dedup.run(settings | {"engine": {"workers": 0}})
    (name,) = settings["search"]["max_distance"]
    row = dedup.calibrate(made).alone[name][settings["search"]["max_distance"][name]]

    assert row.pairs == run.summary["pairs"]["by_kind"]["near"]


def test_the_command_on_a_dataset(made: dedup.Run, tmp_path: Path) -> None:
    """Without -o nothing is written; with it the run and the plot are there."""
    assert made.dir is not None
    photos = made.dir.parent / "photos"
    code, out, _ = command(photos, "--workers", "0", "-q")
    assert (0, False) == (code, "Plot:" in out)
    code, out, _ = command(
        photos, "-o", tmp_path / "run", "--workers", "0", "-q", "--max-fdr", "0.001"
    )

    assert code == 0
    assert "too few pairs to tell: 2,996 are needed" in " ".join(out.split())
    assert (
        "No bare threshold keeps false pairs below 0.1 % here. Keep verify.method: pixels."
        in " ".join(out.split())
    )
    assert (tmp_path / "run" / folder.CALIBRATION_PLOT).exists()


def test_too_few_pictures_are_said(tmp_path: Path) -> None:
    """A handful of photos, or flat pictures only: an error with the number needed, not a table of
    noise.
    """
    for number in range(120):
        pictures.save(Image.new("RGB", (20, 20), (number, 0, 0)), tmp_path / f"flat/{number}.png")
    pictures.folder(tmp_path / "few", [f"{k}.png" for k in range(12)])
    for name, said in (("flat", "of 120 samples 0 are"), ("few", "of 12 samples 12 are")):
        code, _, err = command(tmp_path / name, "--workers", "0", "-q")

        assert code == 1
        assert "at least 100 different pictures" in " ".join(err.split())
        assert said in " ".join(err.split())
    with pytest.raises(RunError, match="at least 100"):
        dedup.calibrate(tmp_path / "few", workers=0)


def test_bad_requests(made: dedup.Run, tmp_path: Path) -> None:
    """A share outside (0, 1), options that do not apply to a run, a folder that is not there: exit
    code 2.
    """
    assert made.dir is not None
    for arguments, expected, said in (
        ((made.dir, "--max-fdr", "1"), 2, "above 0 and below 1"),
        ((made.dir, "-o", tmp_path / "x"), 2, "is a finished run"),
        ((made.dir, "--set", "hash.bits=256"), 2, "is a finished run"),
        ((tmp_path / "nothing",), 2, "does not exist"),
    ):
        code, _, err = command(*arguments)
        assert (expected, True) == (code, said in " ".join(err.split())), err


# --- real photos ----------------------------------------------------------------------------------


@pytest.mark.shared_data
def test_caltech(shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On real photos most of the listed pairs are confirmed, and few of the pairs near by both
    hashes are chance.
    """
    with (shared_data / "caltech101/pairs.csv").open(encoding="utf-8", newline="") as file:
        listed = sum(row["kind"] == "same-source" for row in csv.DictReader(file))
    run = dedup.audit(
        shared_data / "caltech101/images", top_folders="labels", dir=str(tmp_path / "run")
    )
    found = dedup.calibrate(run)
    with capsys.disabled():
        code, out, _ = command(tmp_path / "run", "--max-fdr", "0.05")
        print(out)  # noqa: T201  # the table is what one looks at

    assert code == 0
    last = {name: rows[-1] for name, rows in found.alone.items()}
    assert all(listed * 0.9 <= row.confirmed <= row.pairs for row in last.values())
    # nearly symmetrical pictures resemble themselves turned
    assert max(found.taken_out.values()) <= 10
    both = found.both[-1]
    share, alone = both.chance_share, last["dhash"].chance_share
    assert share is not None
    assert alone is not None
    assert share < alone / 4
    _sane(found)


def _sane(found: Calibration) -> None:
    """Every column grows with the distance, and a decoy never counts less than nothing."""
    by_name: Mapping[str, Sequence[Row]] = found.alone
    for rows in by_name.values():
        for column in ([row.pairs for row in rows], [row.confirmed for row in rows]):
            assert sorted(column) == column
        assert all(0 <= row.chance_bound <= 1 for row in rows)
