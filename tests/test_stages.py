"""Manifest, candidates, pairs, groups and leakage, each by itself."""

import itertools
import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup import graph, tables
from dedup.config import Resolved, build, resolve
from dedup.errors import LimitError, SourceError
from dedup.stages.candidates import candidates
from dedup.stages.chains import chains
from dedup.stages.groups import groups
from dedup.stages.leakage import leakage
from dedup.stages.manifest import manifest
from dedup.stages.pairs import pairs
from tests import naive

ROWS = pa.schema(
    [("id", pa.string()), ("split", pa.string()), ("label", pa.string()), ("uri", pa.string())]
)


def rows(*ids: str, split: str | None = "train") -> pa.Table:
    return pa.table([list(ids), [split] * len(ids), ["cat"] * len(ids), list(ids)], schema=ROWS)


def resolved(dhash: int, phash: int, combine: str = "any", method: str = "none") -> Resolved:
    config = build(
        {
            "search": {"max_distance": {"dhash": dhash, "phash": phash}, "combine": combine},
            "verify": {"method": method, "min_similarity": 0.9},
        }
    )
    return resolve(config, ["train", "test"])


def measured(codes: list[tuple[bytes, bytes]], **columns: list[Any]) -> pa.Table:
    """Hashes of readable, different, informative pictures with these codes, but for the columns
    given.
    """
    table = [
        {
            "sample": i,
            "status": "ok",
            "width": 10,
            "height": 10,
            "file_digest": f"file {i}".encode().ljust(32),
            "pixel_digest": f"pixels {i}".encode().ljust(32),
            "information": 50.0,
            "compression": 1.0,
            "dhash": dhash,
            "phash": phash,
            "thumbnail": np.random.default_rng(i).integers(0, 256, 1024, dtype=np.uint8).tobytes(),
            **{name: values[i] for name, values in columns.items()},
        }
        for i, (dhash, phash) in enumerate(codes)
    ]
    return naive.hashes_table(table)


def found(
    hashes: pa.Table, settled: Resolved, limit: int = 10**6, threads: int = 1
) -> list[tuple[int, ...]]:
    table = pa.concat_tables(candidates(hashes, settled, limit=limit, threads=threads))
    columns = ("a", "b", "distance_dhash", "distance_phash")
    return list(zip(*(table[name].to_pylist() for name in columns), strict=True))


class TestManifest:
    def test_samples_are_numbered_by_sorted_id(self) -> None:
        """Sample numbers follow the ids, not the order of arrival, and lead back to the source's
        rows.
        """
        table, row_of_sample = manifest(rows("c", "B", "a", "b"), "somewhere")

        assert ["B", "a", "b", "c"] == table["id"].to_pylist()
        assert [0, 1, 2, 3] == table["sample"].to_pylist()
        assert [1, 2, 3, 0] == row_of_sample.tolist()

    @given(
        st.lists(st.text(max_size=4), min_size=1, max_size=8, unique=True),
        st.randoms(use_true_random=False),
    )
    def test_any_order_of_rows_gives_the_same_table(self, ids: list[str], shuffle: Any) -> None:
        """The table depends on the set of rows only."""
        ids = [name for name in ids if name.isprintable()] or ["x"]
        before, _ = manifest(rows(*ids), "somewhere")
        shuffle.shuffle(ids)
        after, row_of_sample = manifest(rows(*ids), "somewhere")

        assert before.equals(after)
        assert [ids[row] for row in row_of_sample] == after["id"].to_pylist()

    def test_repeated_ids_are_refused(self) -> None:
        """The message names the id, both rows, the place and the way out."""
        with pytest.raises(SourceError, match=r"some\.csv.*'b'.*rows 2 and 4.*id_column"):
            manifest(rows("a", "b", "c", "b"), "some.csv")


class TestCandidates:
    @pytest.mark.parametrize("combine", ["any", "all"])
    @settings(max_examples=40)
    @given(seed=st.integers(0, 10**6), dhash=st.integers(0, 6), phash=st.integers(0, 6))
    def test_equal_to_the_double_loop(
        self, combine: str, seed: int, dhash: int, phash: int
    ) -> None:
        """Every pair within its algorithm's own distance, of any or of all, with both distances,
        sorted.
        """
        chance = random.Random(seed)
        base = chance.randbytes(8)

        def near_base() -> bytes:
            bits = int.from_bytes(base, "big")
            for bit in chance.sample(range(64), chance.randint(0, 4)):
                bits ^= 1 << bit
            return bits.to_bytes(8, "big")

        codes = [(near_base(), near_base()) for _ in range(12)]
        expected = []
        for a, b in itertools.combinations(range(12), 2):
            distances = (
                naive.hamming(codes[a][0], codes[b][0]),
                naive.hamming(codes[a][1], codes[b][1]),
            )
            within = [distances[0] <= dhash, distances[1] <= phash]
            if any(within) if combine == "any" else all(within):
                expected.append((a, b, *distances))
        got = found(measured(codes), resolved(dhash, phash, combine))

        assert expected == got

    @pytest.mark.parametrize("bits", [3, 4, 5])
    def test_the_distance_is_inclusive(self, bits: int) -> None:
        """Two codes four bits apart are candidates at 4 and 5, not at 3; one bit differs in every
        band of 16.
        """
        far = bytes([0x80, 0, 0x80, 0, 0x80, 0, 0x80, 0])
        hashes = measured([(bytes(8), bytes(8)), (far, b"\xff" * 8)])

        assert ([(0, 1, 4, 64)] if bits >= 4 else []) == found(hashes, resolved(bits, 0))

    def test_only_representatives_are_joined(self) -> None:
        """Of pictures with the same pixels the lowest sample stands for all."""
        pixels = [name.ljust(32).encode() for name in "ABAAB"]
        hashes = measured([(bytes(8), bytes(8))] * 5, pixel_digest=pixels)

        assert [(0, 1, 0, 0)] == found(hashes, resolved(0, 0))

    def test_pictures_without_information_do_not_join(self) -> None:
        """Blank pictures have equal codes and no candidates."""
        hashes = measured([(bytes(8), bytes(8))] * 4, information=[0.0, 50.0, 0.9, 50.0])

        assert [(1, 3, 0, 0)] == found(hashes, resolved(0, 0))

    def test_unreadable_samples_do_not_join(self) -> None:
        """Rows without codes are no candidates."""
        nothing = [None, *[50.0] * 2, None]
        digests = [None, b"a".ljust(32), b"b".ljust(32), None]
        codes: list[Any] = [(None, None), (bytes(8), bytes(8)), (bytes(8), bytes(8)), (None, None)]
        hashes = measured(codes, information=nothing, pixel_digest=digests)

        assert [(1, 2, 0, 0)] == found(hashes, resolved(64, 64))

    def test_nothing_to_search(self) -> None:
        """No readable sample gives an empty table with all columns."""
        hashes = measured([(bytes(8), bytes(8))] * 2, information=[None, None])
        table = pa.concat_tables(
            candidates(hashes, resolved(64, 64, method="pixels"), limit=10, threads=1)
        )

        assert len(table) == 0
        assert [
            "a",
            "b",
            "transform",
            "distance_dhash",
            "distance_phash",
            "similarity",
            "unframed",
            "structure",
            "close_similarity",
            "colour_differs",
            "better",
        ] == table.column_names

    def test_the_limit(self) -> None:
        """As many candidates as the limit are given, one more is an error that names the limit."""
        hashes = measured([(bytes(8), bytes(8))] * 4)

        assert len(found(hashes, resolved(0, 0), limit=6)) == 6
        with pytest.raises(
            LimitError, match=r"max_candidates = 5 is passed within dhash 0, phash 0 of 64 bits"
        ):
            found(hashes, resolved(0, 0), limit=5)

    def test_any_number_of_threads(self) -> None:
        """One thread and three give the same table, similarities included."""
        chance = random.Random(5)
        codes = [(chance.randbytes(8), chance.randbytes(8)) for _ in range(200)]
        hashes, settled = measured(codes), resolved(24, 24, method="pixels")
        one = pa.concat_tables(candidates(hashes, settled, limit=10**6, threads=1))

        assert len(one) > 100
        assert one.equals(pa.concat_tables(candidates(hashes, settled, limit=10**6, threads=3)))

    def test_progress_reaches_the_end(self) -> None:
        """The share that is told never falls and ends at 1."""
        shares: list[float] = []
        hashes = measured([(bytes(8), bytes(8))] * 4)
        list(candidates(hashes, resolved(0, 0), limit=10, threads=1, progress=shares.append))

        assert sorted(shares) == shares
        assert shares[-1] == 1.0


def near_table(*pairs_: tuple[int, int, int, int, float | None]) -> pa.Table:
    a, b, dhash, phash, similarity = zip(*pairs_, strict=True) if pairs_ else ((),) * 5
    return pa.table(
        {
            "a": pa.array(a, pa.int64()),
            "b": pa.array(b, pa.int64()),
            "transform": pa.array([0] * len(a), pa.uint8()),
            "distance_dhash": pa.array(dhash, pa.uint16()),
            "distance_phash": pa.array(phash, pa.uint16()),
            "similarity": pa.array(similarity, pa.float32()),
            "unframed": pa.array([0] * len(a), pa.uint8()),
            "structure": pa.array([200.0] * len(a), pa.float32()),
            "close_similarity": pa.nulls(len(a), pa.float32()),
            "colour_differs": pa.nulls(len(a), pa.bool_()),
            "better": pa.nulls(len(a), pa.int8()),
        }
    )


CODE = (bytes(8), bytes(8))


class TestPairs:
    def accepted(
        self, settled: Resolved, *near: tuple[int, int, int, int, float | None]
    ) -> list[tuple[int, int]]:
        table = pairs(
            [near_table(*near)], measured([CODE] * 4), manifest(rows(*"abcd"), "x")[0], settled
        )
        return list(zip(table["a"].to_pylist(), table["b"].to_pylist(), strict=True))

    def test_the_similarity_is_inclusive(self) -> None:
        """0.9 passes a limit of 0.9 although it is stored in 32 bits, 0.8999 does not."""
        settled = resolved(64, 64, method="pixels")

        assert [(0, 1)] == self.accepted(settled, (0, 1, 9, 9, 0.9), (0, 2, 9, 9, 0.8999))

    @pytest.mark.parametrize(
        ("combine", "expected"), [("any", [(0, 1), (0, 2), (1, 2)]), ("all", [(0, 1)])]
    )
    def test_the_distances_of_each_algorithm(
        self, combine: str, expected: list[tuple[int, int]]
    ) -> None:
        """A candidate is accepted by the distances asked for now, not by those that were
        searched.
        """
        settled = resolved(4, 6, combine)
        near = [(0, 1, 4, 6, None), (0, 2, 5, 6, None), (1, 2, 4, 7, None), (1, 3, 5, 7, None)]

        assert expected == self.accepted(settled, *near)

    def test_two_unreadable_samples_are_never_a_pair(self) -> None:
        """Equal bytes that cannot be decoded are not `bytes` pairs."""
        hashes = measured(
            [CODE] * 2,
            status=["undecodable"] * 2,
            file_digest=[b"same".ljust(32)] * 2,
            pixel_digest=[None] * 2,
            information=[None] * 2,
        )

        assert (
            len(pairs([near_table()], hashes, manifest(rows("a", "b"), "x")[0], resolved(0, 0)))
            == 0
        )

    def test_equal_codes_are_not_pixels(self) -> None:
        """Samples that share a code but not the pixels are near, even at distance 0 and similarity
        1.
        """
        table = pairs(
            [near_table((0, 1, 0, 0, 1.0))],
            measured([CODE] * 2),
            manifest(rows("a", "b"), "x")[0],
            resolved(0, 0),
        )

        assert ["near"] == table["kind"].to_pylist()

    def test_columns(self) -> None:
        """Ids, splits, labels and the conflict travel with the pair."""
        of = pa.table([["b", "a"], ["test", "train"], ["dog", "cat"], ["b", "a"]], schema=ROWS)
        table = pairs(
            [near_table((0, 1, 3, 4, 0.96875))],
            measured([CODE] * 2),
            manifest(of, "x")[0],
            resolved(9, 9),
        )
        expected = {
            "a": 0, "b": 1, "id_a": "a", "id_b": "b", "split_a": "train", "split_b": "test",
            "label_a": "cat", "label_b": "dog", "kind": "near", "transform": "identity",
            "distance_dhash": 3, "distance_phash": 4, "similarity": 0.96875,
            "false_probability": None, "unframed": None, "close_similarity": None,
            "colour_differs": None, "better": None, "first_frames_only": False,
            "label_conflict": True,
        }  # fmt: skip

        assert [expected] == table.to_pylist()

    def test_of_several_views_the_most_similar_one_tells(self) -> None:
        """A pair that is found with and without frames is reported once; of equal views the one
        with frames.
        """
        near = near_table(
            (0, 1, 3, 4, 0.90625), (0, 1, 3, 4, 0.96875), (0, 2, 3, 4, 0.9375), (0, 2, 3, 4, 0.9375)
        )
        near = near.set_column(6, near.schema.field("unframed"), pa.array([0, 3, 1, 0], pa.uint8()))
        table = pairs([near], measured([CODE] * 3), manifest(rows(*"abc"), "x")[0], resolved(9, 9))

        assert table["b"].to_pylist() == [1, 2]
        assert table["similarity"].to_pylist() == [0.96875, 0.9375]
        assert table["unframed"].to_pylist() == [tables.UNFRAMED[3], tables.UNFRAMED[0]]

    def test_views_that_come_apart(self) -> None:
        """A pair whose views are in two parts, or have other pairs between them, is reported
        once.
        """
        first = near_table((0, 1, 3, 4, 0.90625), (0, 2, 3, 4, 0.9375))
        second = near_table((0, 1, 3, 4, 0.96875))
        second = second.set_column(6, second.schema.field("unframed"), pa.array([3], pa.uint8()))
        table = pairs(
            [first, second], measured([CODE] * 3), manifest(rows(*"abc"), "x")[0], resolved(9, 9)
        )

        assert [(0, 1, 0.96875), (0, 2, 0.9375)] == [
            (row["a"], row["b"], row["similarity"]) for row in table.to_pylist()
        ]

    def test_no_pairs(self) -> None:
        """Nothing found is an empty table, and everything after it works."""
        table = manifest(rows("a", "b"), "x")[0]
        hashes = measured([CODE] * 2)
        nothing = pairs([near_table()], hashes, table, resolved(9, 9))
        matches = graph.from_pairs(nothing, 2)

        assert len(nothing) == 0
        assert len(groups(matches, hashes, table, ("test",))) == 0
        assert len(leakage(matches, nothing, hashes, table, ("test",))) == 0


def test_a_chain_is_as_similar_as_its_weakest_pair() -> None:
    """Whether it comes first or last on the way."""
    of = pa.concat_tables([rows(*"abde"), rows("c", split="test")])
    table, _ = manifest(of, "x")
    near = near_table(
        (0, 1, 1, 1, 0.90625), (1, 2, 1, 1, 0.96875), (2, 3, 1, 1, 0.9375), (3, 4, 1, 1, 0.9921875)
    )
    found_pairs = pairs([near], measured([CODE] * 5), table, resolved(9, 9))

    found_chains = chains(graph.from_pairs(found_pairs, 5), table, ("test",))

    assert found_chains["id"].to_pylist() == ["a", "e"]
    assert found_chains["similarity"].to_pylist() == [0.90625, 0.9375]


class TestLeakage:
    def test_without_held_out_splits_nothing_leaks(self) -> None:
        """With no held-out split there are duplicates only."""
        table = manifest(rows("a", "b", split=None), "x")[0]
        hashes = measured([CODE] * 2, pixel_digest=[b"same".ljust(32)] * 2)
        found_pairs = pairs([near_table()], hashes, table, resolved(0, 0))
        matches = graph.from_pairs(found_pairs, 2)

        assert len(found_pairs) == 1
        assert len(leakage(matches, found_pairs, hashes, table, ())) == 0

    def test_every_partner_is_listed(self) -> None:
        """A train sample that matches two held-out pictures has two rows."""
        of = pa.table(
            [list("abc"), ["train", "test", "test"], [None] * 3, list("abc")], schema=ROWS
        )
        table, hashes = manifest(of, "x")[0], measured([CODE] * 3)
        accepted = pairs(
            [near_table((0, 1, 1, 2, 0.9375), (0, 2, 3, 4, 0.96875))], hashes, table, resolved(9, 9)
        )
        got = leakage(graph.from_pairs(accepted, 3), accepted, hashes, table, ("test",)).to_pylist()

        assert [("a", "b", 1), ("a", "c", 3)] == [
            (r["id"], r["witness_id"], r["distance"]) for r in got
        ]


def test_resolved_distances_decide_not_the_default() -> None:
    """Before the codes are there `auto` is its caps, alone and in total, and one number counts for
    all.
    """
    auto = resolve(build({}), ["train"])
    eight = resolve(build({"search": {"max_distance": 8}}), ["train"])

    assert {"dhash": 14, "phash": 14, "total": 41} == auto.search.max_distance
    assert {"dhash": 8, "phash": 8} == eight.search.max_distance
    assert auto.but(max_distance=eight.search.max_distance) == eight


def test_too_many_splits_are_a_wrong_column() -> None:
    """A split column with a value for every row is refused with the remedy, before anything is
    counted by split.
    """
    n = 101
    rows = pa.table(
        [[f"{k}" for k in range(n)], [f"s{k}" for k in range(n)], [None] * n, [None] * n],
        schema=ROWS,
    )
    with pytest.raises(SourceError, match=r"101 different splits.*dataset\.split_column"):
        manifest(rows, "photos.csv")

    assert len(manifest(rows.slice(0, n - 1), "photos.csv")[0]) == n - 1
