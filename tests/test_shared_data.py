"""The whole run on real photos, where they are: see the option --shared-data."""

import csv
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import pytest
from PIL import Image

import dedup
from dedup import pipeline, tables

pytestmark = pytest.mark.shared_data


def ran(source: Path, output: Path, workers: int = 2, **sections: Any) -> dedup.Run:
    return dedup.run(
        {
            "dataset": {"path": str(source)},
            "output": {"dir": str(output), "splits": "none"},
            "engine": {"workers": workers},
            **sections,
        }
    )


def stored(run_folder: Path) -> dict[str, bytes]:
    return {name: (run_folder / f"{name}.parquet").read_bytes() for name in tables.NAMES}


def rows_of(shared_data: Path) -> list[tuple[str, str, str, str]]:
    """id, absolute path, split, label of every Caltech photo."""
    with (shared_data / "caltech101/manifest.csv").open(encoding="utf-8", newline="") as file:
        return [
            (
                row["path"],
                str(shared_data / "caltech101/images" / row["path"]),
                row["split"],
                row["label"],
            )
            for row in csv.DictReader(file)
        ]


def write_manifest(rows: Sequence[tuple[str, str, str, str]], path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "path", "split", "label"])
        writer.writerows(rows)
    return path


def conserved(run: dedup.Run) -> None:
    decided = run.summary["decisions"]

    assert len(run.manifest) == len(run.hashes) == len(run.decisions)
    assert len(run.manifest) == decided["keep"] + decided["drop"] + decided["unreadable"]
    assert decided["unreadable"] == sum(
        status != "ok" for status in run.hashes["status"].to_pylist()
    )
    kept = {row["id"] for row in run.decisions.to_pylist() if row["action"] == "keep"}
    pairs = {
        frozenset((row["id_a"], row["id_b"]))
        for row in run.pairs.to_pylist()
        if row["kind"] == "near"
    }
    for row in run.decisions.to_pylist():
        if row["action"] == "drop":
            assert row["witness_id"] in kept
            assert row["similarity"] == 1.0 or row["similarity"] >= 0.87
    assert all(len(pair) == 2 for pair in pairs)


@pytest.fixture(scope="module")
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dedup.Run:
    """One run over the Caltech photos, by two processes."""
    folder = Path(request.config.getoption("--shared-data")).resolve()
    if not (folder / "caltech101").is_dir():
        pytest.skip(f"the real photos are not in {folder}: name their folder with --shared-data")
    root = tmp_path_factory.mktemp("caltech")
    return ran(write_manifest(rows_of(folder), root / "rows.csv"), root / "run")


class TestCaltech:
    def test_counts(self, run: dedup.Run) -> None:
        """Every photo is decided once, every drop has a kept witness."""
        assert len(run.manifest) == 2675
        conserved(run)

    def test_a_second_run(self, run: dedup.Run, shared_data: Path) -> None:
        """The same folder again: identical bytes."""
        assert run.dir is not None
        before = stored(run.dir)
        ran(run.dir.parent / "rows.csv", run.dir)

        assert before == stored(run.dir)

    def test_one_worker_and_a_shuffled_manifest(
        self, run: dedup.Run, shared_data: Path, tmp_path: Path
    ) -> None:
        """One process instead of two, rows in another order: identical bytes."""
        rows = rows_of(shared_data)
        random.Random(1).shuffle(rows)
        ran(write_manifest(rows, tmp_path / "rows.csv"), tmp_path / "run", workers=1)

        assert run.dir is not None
        assert stored(run.dir) == stored(tmp_path / "run")

    def test_the_same_source_pairs(self, run: dedup.Run, shared_data: Path) -> None:
        """At least nine in ten of the pairs that were judged to be of one source are found."""
        with (shared_data / "caltech101/pairs.csv").open(encoding="utf-8", newline="") as file:
            wanted = [
                frozenset((r["a"], r["b"]))
                for r in csv.DictReader(file)
                if r["kind"] == "same-source"
            ]
        found = {frozenset((row["id_a"], row["id_b"])) for row in run.pairs.to_pylist()}
        share = sum(pair in found for pair in wanted) / len(wanted)

        assert share >= 0.9, f"{share:.2f} of {len(wanted)}"

    def test_compat_codes(self, run: dedup.Run, shared_data: Path) -> None:
        """On 50 photos the codes of hash_images are ImageHash's own, and the stored ones of mode
        fast are close.
        """
        rows = {name: path for name, path, _, _ in rows_of(shared_data)}
        chosen = random.Random(2).sample(range(len(run.manifest)), 50)
        functions = {
            "ahash": imagehash.average_hash,
            "phash": imagehash.phash,
            "dhash": imagehash.dhash,
            "whash": imagehash.whash,
        }
        paths = [rows[run.manifest["id"][sample].as_py()] for sample in chosen]
        for name, function in functions.items():
            expected = []
            for path in paths:
                with Image.open(path) as image:
                    expected.append(str(function(image)))
            codes = dedup.hash_images(paths, algorithm=name, mode="compat")
            assert expected == [bytes(code).hex() for code in codes]
            if name in run.hashes.column_names:
                stored = [run.hashes[name][sample].as_py() for sample in chosen]
                apart = [
                    (int(a, 16) ^ int.from_bytes(b)).bit_count()
                    for a, b in zip(expected, stored, strict=True)
                ]
                assert sum(apart) <= 0.7 * len(apart)


POLICIES: list[dict[str, str]] = [
    {},
    {"leakage": "drop_from_held_out"},
    {"leakage": "drop_from_held_out", "chains": "drop", "label_conflicts": "drop"},
    {"leakage": "regroup"},
    {"leakage": "regroup", "chains": "drop", "label_conflicts": "drop_all"},
    {"leakage": "report_only"},
    {"leakage": "report_only", "duplicates": "report_only", "label_conflicts": "drop"},
    {"chains": "drop"},
    {"chains": "drop", "label_conflicts": "drop_all", "duplicates": "keep_first"},
    {"label_conflicts": "drop", "duplicates": "report_only"},
    {"label_conflicts": "drop", "duplicates_list": "crops"},
    {"label_conflicts": "drop_all", "duplicates_list": "crops"},
    {
        "leakage": "regroup",
        "label_conflicts": "drop_all",
        "chains": "drop",
        "duplicates_list": "crops",
    },
    {
        "leakage": "report_only",
        "label_conflicts": "drop_all",
        "duplicates": "report_only",
        "duplicates_list": "crops",
    },
]


def write_crops(shared_data: Path, path: Path) -> Path:
    """The faces and their crops under another label, as pairs that a person has judged."""
    with (shared_data / "caltech101/pairs.csv").open(encoding="utf-8", newline="") as file:
        crops = [(row["a"], row["b"]) for row in csv.DictReader(file) if row["kind"] == "crop"]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id_a", "id_b"), *crops])
    return path


class Graph:
    """What matches what, from the rows of pairs: identical pictures are one class, near pairs
    connect classes.
    """

    def __init__(self, pairs: list[dict[str, Any]]) -> None:
        self._same: dict[str, str] = {
            r["id_b"]: r["id_a"] for r in pairs if r["kind"] in {"bytes", "pixels"}
        }
        self.near: dict[str, set[str]] = {}
        for row in pairs:
            if row["kind"] in {"near", "listed"}:
                self.near.setdefault(row["id_a"], set()).add(row["id_b"])
                self.near.setdefault(row["id_b"], set()).add(row["id_a"])

    def first(self, name: str) -> str:
        return self._same.get(name, name)

    def match(self, one: str, other: str) -> bool:
        a, b = self.first(one), self.first(other)
        return one != other and (a == b or b in self.near.get(a, ()))

    def together(self, names: Sequence[str]) -> list[set[str]]:
        """Connected samples, two or more."""
        members: dict[str, set[str]] = {}
        for name in names:
            members.setdefault(self.first(name), set()).add(name)
        open_, found = set(members), []
        while open_:
            level = seen = {open_.pop()}
            while level := {other for one in level for other in self.near.get(one, ())} - seen:
                seen = seen | level
            open_ -= seen
            found.append(set().union(*(members[one] for one in seen)))
        return [component for component in found if len(component) > 1]


class TestCaltechPolicies:
    @pytest.mark.parametrize(
        "policy", POLICIES, ids=lambda policy: "-".join(policy.values()) or "default"
    )
    def test_promises(
        self, run: dedup.Run, shared_data: Path, tmp_path: Path, policy: dict[str, str]
    ) -> None:
        """On its own train and test split: what the policy promised is gone, by set algebra over
        the pairs.
        """
        assert run.dir is not None
        if "duplicates_list" in policy:
            policy = {
                **policy,
                "duplicates_list": str(write_crops(shared_data, tmp_path / "crops.csv")),
            }
        result = pipeline.decide(
            run.dir, [f"policy.{k}={v}" for k, v in policy.items()], output=tmp_path / "decided"
        )
        rows = {row["id"]: row for row in result.decisions.to_pylist()}
        label = dict(
            zip(run.manifest["id"].to_pylist(), run.manifest["label"].to_pylist(), strict=True)
        )
        of = Graph(result.pairs.to_pylist())
        now = {
            i: row["new_split"] or row["split"]
            for i, row in rows.items()
            if row["action"] in {"keep", "move"}
        }
        train = {i for i, split in now.items() if split == "train"}
        test = now.keys() - train
        together = of.together(list(rows))
        near = {
            (a, b) for component in together for a in component for b in component if of.match(a, b)
        }
        leaks = {(a, b) for a, b in near if a in train and b in test}
        before = {i for i, row in rows.items() if row["split"] == "test"}

        assert len(before) == 883
        assert len(rows) == 2675
        assert [row for row in rows.values() if row["action"] == "unreadable"] == []
        if policy.get("leakage") == "report_only":
            assert leaks
        else:
            assert not leaks
        if policy.get("leakage") not in {"drop_from_held_out", "regroup"}:
            assert before == test
        if policy.get("chains") == "drop":
            assert not [c for c in together if c & train and c & test]
        if policy.get("leakage") == "regroup":
            assert not [c for c in together if len({now[i] for i in c & now.keys()}) > 1]
            for row in result.summary["regroup"].values():
                assert (
                    row["after"]
                    == row["before"] - row["moved_out"] + row["moved_in"] - row["dropped"]
                )
        if policy.get("duplicates") != "report_only":
            assert not [(a, b) for a, b in near if a in train and b in train]
        conflicts = {(a, b) for a, b in near if label[a] != label[b]}
        if policy.get("label_conflicts") in {"drop", "drop_all"}:
            assert not [(a, b) for a, b in conflicts if a in train and b in train]
        if policy.get("label_conflicts") == "drop_all":
            assert not [(a, b) for a, b in conflicts if a in train]
        for i, row in rows.items():
            if row["action"] == "drop":
                assert row["witness_kept"] == (row["witness_id"] in now)
                if not row["witness_kept"]:
                    assert policy["label_conflicts"] == "drop_all"
                    assert row["witness_id"] == row["conflict_id"]
                    assert (i, row["witness_id"]) in conflicts
                    assert not [j for j in now if (i, j) in near]
                assert (i, row["witness_id"]) in near or row["reason"].startswith("chained")


class TestPhotos:
    def test_it_runs_to_the_end(self, shared_data: Path, tmp_path: Path) -> None:
        """Hostile, broken and exotic files: every one has a row, every unreadable one a status and
        a reason.
        """
        run = ran(shared_data / "photos", tmp_path / "run")
        conserved(run)
        rows = [
            {**a, **b}
            for a, b in zip(
                run.manifest.select(["id"]).to_pylist(),
                run.hashes.select(["status", "detail"]).to_pylist(),
                strict=True,
            )
        ]
        assert {row["status"] for row in rows} <= set(tables.STATUSES)
        assert all(row["detail"] for row in rows if row["status"] != "ok")
        corrupt = [
            row
            for row in rows
            if row["id"].startswith("pngsuite/") and Path(row["id"]).name.startswith("x")
        ]
        assert len(corrupt) == 14
        # A wrong checksum over intact pixels: Pillow reads them, and so would every training loop.
        assert {row["id"] for row in corrupt if row["status"] == "ok"} <= {"pngsuite/xcsn0g01.png"}
        good = [
            row
            for row in rows
            if row["id"].startswith("pngsuite/") and not Path(row["id"]).name.startswith("x")
        ]
        assert all(row["status"] == "ok" for row in good), [
            r["id"] for r in good if r["status"] != "ok"
        ]
        before = stored(tmp_path / "run")
        ran(shared_data / "photos", tmp_path / "run", workers=1)

        assert before == stored(tmp_path / "run")

    def test_orientations(self, shared_data: Path, tmp_path: Path) -> None:
        """The two pictures with all orientation flags are two groups."""
        run = ran(shared_data / "photos/exif_orientation", tmp_path / "run", workers=0)
        sizes = np.bincount(run.groups["group"].to_numpy())

        assert len(sizes) == 2
        assert sizes.sum() == len(run.manifest)
