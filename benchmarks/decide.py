"""How long `dedup decide` takes: `python -m benchmarks.decide --samples 1000000 --pairs 100000`.

Stored tables are made up: random codes and thumbnails, near pairs between random samples, a tenth
of the samples held out, one in fifty identical to another one; a second run has groups of ten and
of ninety, some of them in both splits, and a column to keep by. Each time is that of a whole
process, start-up and report included; in brackets the seconds that its threads were busy. The
target is 5 seconds for 10⁶ samples and 10⁵ pairs.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dedup import files, tables
from dedup.config import build, resolve
from dedup.runs import folder
from dedup.runs.fingerprints import run_info, specs
from dedup.tables import storage


def stored_run(target: Path, n: int, n_pairs: int, *, grouped: bool = False, seed: int = 1) -> None:
    """Write a finished run with n samples and n_pairs candidates, all of which are accepted."""
    random = np.random.default_rng(seed)
    settings: dict[str, Any] = {
        "dataset": {"path": str(target / "nowhere")},
        "search": {"max_distance": 12},
    }
    if grouped:
        settings["dataset"]["group_column"] = "scene"
        settings["policy"] = {"duplicates": "keep_by", "keep_by": "score"}
    config = build(settings | {"output": {"dir": str(target), "splits": "none"}})
    texts = np.char.add("photos/", np.char.zfill(np.arange(n).astype(str), 9))
    split = np.where(np.arange(n) % 10 == 0, "test", "train")
    label = np.char.add("class ", random.integers(0, 100, n).astype(str))
    nothing = pa.nulls(n, pa.string())
    more = [nothing, nothing]
    if grouped:
        ten = np.char.add(
            np.where(random.random(n) < 0.01 / 10, "train", split),
            (np.arange(n) // 100).astype(str),
        )
        more = [ten, random.integers(0, 1000, n).astype(str)]
    columns = [np.arange(n), texts, split, label, texts, *more, nothing, nothing]
    manifest = pa.table(columns, schema=tables.MANIFEST)
    picture = np.arange(n)
    copies = random.choice(n, n // 50, replace=False)
    picture[copies] = random.integers(0, n, len(copies))
    digests = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(32),
        n,
        [None, pa.py_buffer(np.repeat(picture[:, None], 4, axis=1).astype(np.int64).tobytes())],
    )

    def noise(width: int) -> pa.Array:
        data = random.integers(0, 256, n * width, dtype=np.uint8).tobytes()
        return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), n, [None, pa.py_buffer(data)])

    side = random.integers(32, 1000, n).astype(np.int32)
    compression = random.random(n).astype(np.float32)
    hashes = pa.table(
        {
            "sample": np.arange(n),
            "status": pa.array(["ok"], pa.string()).take(pa.array(np.zeros(n, np.int32))),
            "detail": nothing,
            "width": side,
            "height": side,
            "format": pa.array(["JPEG"], pa.string()).take(pa.array(np.zeros(n, np.int32))),
            "file_digest": digests,
            "pixel_digest": digests,
            "information": np.full(n, 50, np.float32),
            "compression": compression,
            "dhash": noise(8),
            "phash": noise(8),
            "thumbnail": noise(1024),
        }
    )
    hashes = hashes.cast(tables.hashes_schema({"dhash": 8, "phash": 8}))
    first = np.full(n, n, dtype=np.int64)
    np.minimum.at(first, picture, np.arange(n))
    lone = np.flatnonzero(first[picture] == np.arange(n))
    drawn = np.sort(random.choice(lone, (2 * n_pairs, 2)), axis=1)
    drawn = np.unique(drawn[drawn[:, 0] < drawn[:, 1]], axis=0)
    drawn = drawn[np.sort(random.permutation(len(drawn))[:n_pairs])]
    bits = random.integers(0, 12, (2, len(drawn))).astype(np.uint16)
    similarity = (0.9 + 0.1 * random.random(len(drawn))).astype(np.float32)
    columns = [
        drawn[:, 0],
        drawn[:, 1],
        np.zeros(len(drawn), np.uint8),
        bits[0],
        bits[1],
        similarity,
    ]
    columns += [np.zeros(len(drawn), np.uint8), *tables.not_looked_at(len(drawn))]
    candidates = pa.table(columns, schema=tables.candidates_schema(["dhash", "phash"]))
    spec = specs(config, resolve(config, ["train", "test"]))
    files.mark(
        target,
        folder.KIND,
        dict.fromkeys([folder.RUN, *(f"{name}.parquet" for name in tables.NAMES)]),
    )
    for name, table in (("manifest", manifest), ("hashes", hashes), ("candidates", candidates)):
        storage.write(table, target, name, spec[name])
    source = {"form": "manifest", "name": "made up", "names": [], "in_memory": False, "skipped": {}}
    files.write_json(
        target / folder.RUN, run_info(config, source, manifest) | {"state": "finished"}
    )


def lists_of(target: Path, n: int) -> list[str]:
    """Overrides for a hundred allowed pairs, a hundred others denied, and a thousand preferred
    samples.
    """
    candidates = (
        pq.read_table(target / "plain" / "candidates.parquet", columns=["a", "b"])
        .slice(0, 100)
        .to_pylist()
    )
    texts = {
        "not_duplicates_list": "id_a,id_b\n"
        + "".join(f"photos/{of['a']:09},photos/{of['b']:09}\n" for of in candidates),
        "duplicates_list": "id_a,id_b\n"
        + "".join(f"photos/{k:09},photos/{n - 1 - k:09}\n" for k in range(100)),
        "prefer_list": "id\n" + "".join(f"photos/{k:09}\n" for k in range(1, n, max(1, n // 1000))),
    }
    for name, text in texts.items():
        (target / f"{name}.csv").write_text(text, encoding="utf-8")
    return [f"policy.{name}={target / name}.csv" for name in texts]


def main() -> None:
    """Make the tables, decide under several policies, print the seconds of each whole process and
    of its stages.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the tables go, and stay")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        target = asked.folder or Path(temporary)
        stored_run(target / "plain", asked.samples, asked.pairs)
        stored_run(target / "grouped", asked.samples, asked.pairs, grouped=True)
        lists = lists_of(target, asked.samples)
        for name, *overrides in (
            ["plain", "verify.min_similarity=0.9"],
            ["plain", "policy.chains=drop", "policy.label_conflicts=drop_all"],
            [
                "plain",
                "policy.leakage=drop_from_held_out",
                "policy.chains=report",
                "policy.label_conflicts=report",
            ],
            ["plain", "policy.leakage=report_only", "policy.duplicates=keep_first"],
            [
                "plain",
                "policy.leakage=regroup",
                "policy.max_moved=1.0",
                "policy.duplicates=keep_best",
            ],
            ["plain", "policy.leakage=drop_from_train", "policy.label_conflicts=drop", *lists],
            ["grouped", "policy.leakage=drop_from_train"],
            ["grouped", "policy.leakage=regroup", "policy.max_moved=1.0"],
        ):
            command = [sys.executable, "-m", "dedup", "decide", str(target / name), "--quiet"]
            command += [part for override in overrides for part in ("--set", override)]
            taken = []
            for _ in range(asked.times):
                before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
                subprocess.run(command, check=True)
                wall, after = (
                    time.perf_counter() - start,
                    resource.getrusage(resource.RUSAGE_CHILDREN),
                )
                busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                taken.append(f"{wall:.2f} ({busy:.2f})")
            print(
                f"{', '.join(taken)} s  {name}: {' '.join(overrides).replace(str(target), '…')}",
                flush=True,
            )
            stages = {
                of["stage"]: of["seconds"]
                for of in folder.read_json(target / name / folder.RUN)["stages"]
            }
            print("   " + json.dumps(stages))


if __name__ == "__main__":
    main()
