import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dedup.search
from dedup.errors import ConfigError, LimitError
from dedup.search import Band, Plan, find_pairs, join, join_batches, kernels, pack, plan
from dedup.search.buckets import sort_into_buckets
from dedup.search.codes import collapse
from dedup.search.costs import measured
from dedup.search.crew import Crew
from dedup.search.limits import check_sample
from dedup.search.sample import Degrees
from dedup.search.scan import _tasks
from tests.search import naive
from tests.search.codes import adversarial, flipped, forced, packed

ONE = np.zeros((3, 1), np.uint64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"codes": np.zeros((3, 1), np.int64)},
            r"codes must be a uint64 array .* not int64 of shape \(3, 1\)",
        ),
        ({"codes": np.zeros(3, np.uint64)}, r"not uint64 of shape \(3,\)"),
        ({"codes": [[1]]}, "codes must be a uint64 array .* not a list"),
        ({"codes": np.zeros((3, 0), np.uint64)}, "64 to 1024 bits wide, not 0"),
        ({"codes": np.zeros((3, 17), np.uint64)}, "64 to 1024 bits wide, not 1088"),
        ({"other": np.zeros((3, 2), np.uint64)}, "64 bits wide and other 128"),
        ({"other": np.zeros((3, 1), np.uint8)}, "other must be a uint64 array"),
        ({"max_distance": -1}, "between 0 and 64 bits, not -1"),
        ({"max_distance": 65}, "between 0 and 64 bits, not 65"),
        ({"max_distance": 1.5}, "whole number between 0 and 64 bits, not 1.5"),
        ({"max_distance": True}, "whole number between 0 and 64 bits, not True"),
        ({"limit": -1}, "whole number of pairs, 0 or more, not -1"),
        ({"threads": 0}, "threads must be 1 or more"),
        ({"finder": "hnsw"}, "Unknown finder 'hnsw'; it must be one of 'auto', 'banded', 'brute'"),
    ],
)
def test_bad_requests_are_refused(arguments: dict[str, Any], message: str) -> None:
    """Each wrong argument is one error that says what it got and what is allowed."""
    given: dict[str, Any] = {"codes": ONE, "max_distance": 3} | arguments
    with pytest.raises(ConfigError, match=message):
        join(given.pop("codes"), given.pop("other", None), **given)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.zeros((3, 7), np.uint8), "multiple of 8 bytes .* not 7"),
        (np.zeros((3, 0), np.uint8), "multiple of 8 bytes .* not 0"),
        (np.zeros((3, 8), np.int8), "uint8 array of shape"),
        (np.zeros(8, np.uint8), r"not uint8 of shape \(8,\)"),
        ("codes", "not a str"),
    ],
)
def test_bytes_that_are_no_codes_are_refused(codes: Any, message: str) -> None:
    """`find_pairs` takes bytes of a whole number of words only and says so."""
    with pytest.raises(ConfigError, match=message):
        find_pairs(codes, max_distance=3)


@pytest.mark.parametrize("finder", ["auto", "brute", "banded"])
@pytest.mark.parametrize("words", [1, 4])
def test_nothing_to_pair(finder: str, words: int) -> None:
    """No code, one code, or an empty side give an empty result of the right types, also in
    parts.
    """
    none, one = np.empty((0, words), np.uint64), np.zeros((1, words), np.uint64)
    for codes, other in ((none, None), (one, None), (none, one), (one, none), (none, none)):
        got = join(codes, other, max_distance=5, finder=finder)

        assert len(got) == 0
        assert [got.a.dtype.str, got.b.dtype.str, got.distance.dtype.str] == ["<i8", "<i8", "<u2"]
        assert list(join_batches(codes, other, max_distance=5, finder=finder)) == []
        assert plan(codes, other, max_distance=5, finder=finder).candidates == 0


@pytest.mark.parametrize("finder", ["auto", "brute", "banded"])
def test_largest_distances(finder: str) -> None:
    """A threshold as large as the code is wide pairs everything, and one bit less all but
    complements.
    """
    codes = adversarial("complement pairs", 0, 40, 64)
    for t in (62, 63, 64):
        expected = len(naive.self_join(codes, t))
        got = len(join(packed(codes), max_distance=t, finder=finder))

        assert expected == got


def test_read_only_and_strided_codes_are_taken() -> None:
    """Codes that are read-only or do not lie side by side are searched all the same and stay
    untouched.
    """
    codes = packed(adversarial("all within t of one code", 5, 50, 64))
    expected = len(join(codes, max_distance=5))
    frozen = codes.copy()
    frozen.flags.writeable = False
    strided = np.repeat(codes, 2, axis=0)[::2]

    assert expected == len(join(frozen, max_distance=5))
    assert expected == len(join(strided, max_distance=5))
    assert np.array_equal(codes, frozen)


@pytest.mark.parametrize("finder", ["auto", "brute", "banded"])
def test_limit_is_exact(finder: str) -> None:
    """As many pairs as the limit are a result, one more is an error that names a distance that
    fits.
    """
    codes = adversarial("all within t of one code", 6, 300, 64)
    counts = [len(naive.self_join(codes, t)) for t in range(7)]
    got = join(packed(codes), max_distance=6, limit=counts[6], finder=finder)

    assert counts[6] == len(got)
    with pytest.raises(LimitError, match=f"max_distance 4 fits, with {counts[4]:,} pairs"):
        join(packed(codes), max_distance=6, limit=counts[5] - 1, finder=finder)
    with pytest.raises(LimitError, match="Not even max_distance 0 fits"):
        join(packed([5] * 20), max_distance=6, limit=100, finder=finder)


def test_hopeless_search_ends_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a sample shows that there are far too many pairs, no plan is carried out."""
    codes = packed(adversarial("all within t of one code", 4, 20_000, 64))
    monkeypatch.setattr(
        "dedup.search.searching.execute", lambda *_: pytest.fail("it was carried out")
    )
    with pytest.raises(
        LimitError, match=r"at least .* pairs within 12 of 64 bits, and the limit is 1,000"
    ):
        join(codes, max_distance=12, limit=1000)


def test_an_unlucky_sample_ends_nothing() -> None:
    """A drawn code with very many matches among many without any does not count for the others."""
    rows = np.zeros(1000)
    rows[:100] = 10**6
    unlucky = Degrees(10**6, rows, np.array([rows.sum()]), halved=True)
    typical = Degrees(10**6, np.full(1000, 10.0**6), np.array([10.0**9]), halved=True)

    assert unlucky.at_least() == 0
    assert 2e11 < typical.at_least() < 5e11


def test_sampled_estimate_is_near_the_truth() -> None:
    """The expected number of pairs of a plan is that of the search, give or take a third."""
    rng = random.Random(9)
    codes = [rng.getrandbits(64) for _ in range(20_000)]
    codes += [flipped(code, rng.sample(range(64), 3)) for code in codes]
    array = packed(codes)
    found = len(join(array, max_distance=4))
    with Crew(2) as crew:
        expected = check_sample(collapse(array, crew), None, 4, None)

    assert 0.66 < expected / found < 1.5
    assert plan(array, max_distance=4).expected_pairs == expected


def test_too_little_memory_is_told_before_any_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search of which not even a tile fits is refused with what it needs and what there is."""
    monkeypatch.setattr("dedup.search.limits.allowed_memory", lambda: 1 << 14)
    monkeypatch.setattr("dedup.search.searching.collapse", lambda *_: pytest.fail("it was begun"))
    with pytest.raises(
        LimitError, match=r"1,000,000 codes of 64 bits needs at least \d+ MB .* 0 MB may be used"
    ):
        join(np.zeros((10**6, 1), np.uint64), max_distance=3)


def test_plans_are_printed() -> None:
    """The text of a plan names the finder, the bands, the work and the time."""
    codes = np.random.default_rng(1).integers(0, 2**64, (50_000, 1), dtype=np.uint64)
    text = str(plan(codes, max_distance=6, finder="banded", threads=2))
    for part in (
        "banded: 50,000 different codes of 64 bits, distance <= 6",
        "candidates",
        "bands:",
        " s on 2 threads",
    ):
        assert part in text


def test_a_crowded_bucket_is_shared_by_all_threads() -> None:
    """One bucket of 100,000 codes becomes many tasks, none with more than a small part of the
    rows.
    """
    codes = np.full((101_000, 1), 2**63, np.uint64)
    codes[:100_000, 0] ^= np.arange(100_000, dtype=np.uint64)
    codes[100_000:, 0] = np.random.default_rng(0).integers(0, 2**64, 1000, dtype=np.uint64)
    planes = np.zeros((1, len(codes) + kernels.PADDING), np.uint64)
    planes[0, : len(codes)] = codes[:, 0]
    with Crew(2) as crew:
        side = sort_into_buckets(planes, len(codes), 40, 16, crew)
        tasks, _ = _tasks(side, None, Band(40, 16, 1), measured(1, 1), crew)
    rows = [last - first for first, last in tasks]

    assert np.diff(side.offsets).max() >= 100_000
    assert sum(rows) == len(codes)
    assert max(rows) < len(codes) / 4


def test_candidates_of_a_plan_are_exact() -> None:
    """A plan's number of candidates is that of the pairs in neighbouring buckets, band by band."""
    codes = np.random.default_rng(2).integers(0, 2**20, (3000, 1), dtype=np.uint64)
    codes = np.unique(codes, axis=0)
    chosen = plan(codes, max_distance=5, finder="banded")
    with Crew(1) as crew:
        shuffled = collapse(codes, crew).planes[0, : len(codes)]
    expected = 0
    for band in chosen.bands:
        keys = (shuffled >> np.uint64(band.start)) & np.uint64((1 << band.width) - 1)
        met = np.bitwise_count(keys[:, None] ^ keys[None, :]) <= band.radius
        expected += int(np.triu(met, 1).sum())

    assert expected == chosen.candidates


@pytest.mark.parametrize(
    ("bands", "message"),
    [
        (
            (Band(0, 20, 1), Band(20, 20, 1)),
            r"could miss pairs: .* is 4 and must be more than max_distance, 4",
        ),
        ((Band(0, 20, 1), Band(19, 20, 3)), "disjoint"),
        ((Band(0, 20, 1), Band(50, 20, 3)), "disjoint"),
    ],
)
def test_plans_that_could_miss_pairs_are_refused(bands: tuple[Band, ...], message: str) -> None:
    """A plan whose radii do not add up, or whose bands overlap or leave the code, is an error."""
    good = forced(ONE, 4, [20, 20], (1, 2))
    bad = Plan(**{name: getattr(good, name) for name in Plan.__slots__} | {"bands": bands})
    with pytest.raises(ConfigError, match=message):
        join(ONE, max_distance=4, plan=bad)
    with pytest.raises(ConfigError, match="The plan is for distance 4 of 64 bits, not 5 of 64"):
        join(ONE, max_distance=5, plan=good)


SEARCH = """
import sys, time
import numpy as np
from dedup.search import join
codes = np.random.default_rng(0).integers(0, 2**64, (400_000, 1), dtype=np.uint64)
if sys.argv[1] == "crowded":
    codes[:100_000] = codes[0]
    codes[:100_000, 0] ^= np.arange(100_000, dtype=np.uint64) << np.uint64(3)
join(codes[:5000], max_distance=3, finder="banded")
print("begun", flush=True)
join(codes, max_distance=int(sys.argv[2]), limit=10**12, finder=sys.argv[3])
print("ended", flush=True)
"""


@pytest.mark.parametrize(
    ("codes", "max_distance", "finder"),
    [("uniform", 28, "banded"), ("uniform", 20, "brute"), ("crowded", 16, "auto")],
)
def test_ctrl_c_ends_the_search(codes: str, max_distance: int, finder: str) -> None:
    """An interrupt in the middle of a search raises KeyboardInterrupt soon and not at its end."""
    process = subprocess.Popen(
        [sys.executable, "-c", SEARCH, codes, str(max_distance), finder],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    time.sleep(0.7)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=20)

    assert "ended" not in out
    assert "KeyboardInterrupt" in error


FIRST_CALL = """
import numpy as np
from dedup.search import join, kernels
print(kernels.__file__)
print(len(join(np.arange(64, dtype=np.uint64)[:, None], max_distance=1)))
"""


@pytest.mark.parametrize("home_is_writable", [True, False])
def test_a_read_only_package_still_searches(tmp_path: Path, home_is_writable: bool) -> None:
    """Kernels that cannot be kept beside the package go to the user's folder, or are compiled each
    time.
    """
    package = tmp_path / "site" / "dedup"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(dedup.search.__file__).parents[1], package, ignore=ignore)
    # A file in the place of the folder stops root too, whom no permission stops.
    (package / "search" / "__pycache__").write_text("")
    home = tmp_path / "home"
    home.mkdir()
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("NUMBA", "XDG", "HOME"))
    }
    if not home_is_writable:
        (home / ".cache").write_text("")
        (home / ".local").write_text("")
    environment |= {"PYTHONPATH": str(tmp_path / "site"), "HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FIRST_CALL],
        env=environment,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(package / "search" / "kernels.py"), "192"]
    assert any(home.rglob("*.nbi")) == home_is_writable


def test_pack_keeps_the_bytes() -> None:
    """Packed codes are the same bytes seen as 64-bit words."""
    codes = np.arange(64, dtype=np.uint8).reshape(4, 16)
    got = pack(codes)

    assert got.shape == (4, 2)
    assert np.array_equal(codes, got.view(np.uint8))
