"""The server of `dedup review`: start, first view, a filter, the limit, and memory, by samples.

    python -m benchmarks.review --samples 10000 100000 1000000

A made-up run, of which a tenth of the samples is in a pair, is written below --folder; then a
server of its own process is asked as a page does. Memory is the server's largest, as the system
counts it, without the processes that decode.
"""

import argparse
import json
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dedup import tables
from dedup.config import build, resolve
from dedup.tables import storage

ALGORITHMS = ("dhash", "phash")
ASKED = {
    "first view": ("api/run", "api/rows?view=leaks&n=100", "api/facets?view=leaks"),
    "pairs by doubt": ("api/rows?view=pairs&n=100",),
    "a filter by class": ("api/rows?view=pairs&n=100&label=class 7",),
    "a search by id": ("api/rows?view=pairs&n=100&text=00012",),
    "the last rows": ("api/rows?view=pairs&n=100&start={last}",),
    "groups": ("api/rows?view=groups&n=100",),
    "random sample": ("api/rows?view=sample&n=200",),
    "the limit": ("api/limit",),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--folder", type=Path, default=Path("runs/bench_review"))
    asked = parser.parse_args()
    print(f"| samples | pairs | start | {' | '.join(ASKED)} | memory |")
    print("|---|" * 1 + "---|" * (len(ASKED) + 3))
    for n in asked.samples:
        folder = asked.folder / str(n)
        if not (folder / "run.json").exists():
            write(folder, n)
        print(f"| {n:,} | {n // 10:,} | {' | '.join(measured(folder, n))} |", flush=True)


def measured(folder: Path, n: int) -> list[str]:
    """Seconds of each question, and megabytes."""
    begun = time.perf_counter()
    command = [sys.executable, "-u", "-m", "dedup", "review", str(folder), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101  # it is a pipe
        found = re.search(r"http://\S+", process.stdout.readline())
        if found is None:
            message = "the review did not start"
            raise SystemExit(message)
        told = [f"{time.perf_counter() - begun:.2f} s"]
        for questions in ASKED.values():
            begun = time.perf_counter()
            for question in questions:
                place = question.format(last=max(0, n // 10 - 100)).replace(" ", "%20")
                with urllib.request.urlopen(found[0] + place) as answer:
                    json.load(answer)
            told.append(f"{time.perf_counter() - begun:.2f} s")
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = re.search(r"VmHWM:\s+(\d+) kB", status)
        told.append(f"{int(peak[1]) // 1000} MB" if peak else "?")
        process.terminate()
    return told


def write(folder: Path, n: int) -> None:
    """A run with n samples and n / 10 near pairs, each between train and test."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    n_pairs = n // 10
    manifest, hashes = samples(rng, n)
    a = np.arange(n_pairs, dtype=np.int64) * 2
    b = a + 1
    found = pairs(rng, manifest, a, b)
    ids = manifest["id"]
    of_a, of_b = ids.take(pa.array(a)), ids.take(pa.array(b))
    leakage = {
        "id": of_a,
        "split": pa.repeat("train", n_pairs),
        "label": found["label_a"],
        "witness_id": of_b,
        "witness_split": pa.repeat("test", n_pairs),
        "witness_label": found["label_b"],
        "kind": found["kind"],
        "transform": found["transform"],
        "distance": found["distance_dhash"],
        "similarity": found["similarity"],
        "label_conflict": found["label_conflict"],
    }
    number = np.arange(n_pairs)
    groups = {
        "group": np.repeat(number, 2),
        "sample": np.arange(2 * n_pairs, dtype=np.int64),
        "id": ids.slice(0, 2 * n_pairs),
        "split": manifest["split"].slice(0, 2 * n_pairs),
        "keeper": np.arange(2 * n_pairs) % 2 == 1,
        "distance": pa.nulls(2 * n_pairs, pa.uint16()),
        "similarity": pa.nulls(2 * n_pairs, pa.float32()),
    }
    drops = np.zeros(n, bool)
    drops[a] = True
    witness = pa.array([None] * n, pa.string())
    decisions = {
        "sample": np.arange(n, dtype=np.int64),
        "id": ids,
        "split": manifest["split"],
        "action": np.where(drops, "drop", "keep"),
        "reason": np.where(drops, "leaks into a held-out split", "kept"),
        "witness_id": witness,
        "witness_split": witness,
        "distance": pa.nulls(n, pa.uint16()),
        "similarity": pa.nulls(n, pa.float32()),
        "witness_kept": pa.nulls(n, pa.bool_()),
        "conflict_id": witness,
        "new_split": witness,
    }
    made = {
        "manifest": manifest,
        "hashes": hashes,
        "pairs": found,
        "candidates": candidates(rng, found, n),
        "leakage": filled(leakage, tables.LEAKAGE, n_pairs),
        "groups": filled(groups, tables.GROUPS, 2 * n_pairs),
        "decisions": filled(decisions, tables.DECISIONS, n),
    }
    for name, table in made.items():
        storage.write(table, folder, name, {})
    describe(folder, n, n_pairs)


def samples(rng: np.random.Generator, n: int) -> tuple[pa.Table, pa.Table]:
    """The manifest, in which every second sample is in test, and the hashes."""
    names = [f"photos/class {k % 100}/picture {k:09d}.jpg" for k in range(n)]
    manifest = {
        "sample": np.arange(n, dtype=np.int64),
        "id": names,
        "split": np.where(np.arange(n) % 2 == 1, "test", "train"),
        "label": [f"class {k % 100}" for k in range(n)],
        "uri": names,
        **{name: pa.nulls(n, pa.string()) for name in ("group", "keep_by", "distinct")},
    }
    schema = tables.hashes_schema(dict.fromkeys(ALGORITHMS, 8))
    padded = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(32), n, [None, pa.py_buffer(rng.bytes(32 * n))]
    )
    codes = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(8), n, [None, pa.py_buffer(bytes(8 * n))]
    )
    values: dict[str, Any] = {
        "sample": np.arange(n, dtype=np.int64),
        "status": ["ok"] * n,
        "width": rng.integers(32, 2000, n),
        "height": rng.integers(32, 2000, n),
        "format": ["JPEG"] * n,
        "n_frames": np.ones(n, np.int32),
        "file_digest": padded,
        "pixel_digest": padded,
        "information": rng.random(n),
        "compression": rng.random(n),
        "dhash": codes,
        "phash": codes,
    }
    arrays = [
        pa.nulls(n, field.type)
        if values.get(field.name) is None
        else pa.array(values[field.name]).cast(field.type)
        for field in schema
    ]
    listed = filled({**manifest, "row": np.arange(n, dtype=np.int64)}, tables.MANIFEST, n)
    return listed, pa.table(arrays, schema=schema)


def pairs(rng: np.random.Generator, manifest: pa.Table, a: Any, b: Any) -> pa.Table:
    """Near pairs of any doubt up to the limit."""
    n = len(a)
    of_a, of_b = manifest.take(pa.array(a)), manifest.take(pa.array(b))
    values: dict[str, Any] = {
        "a": a,
        "b": b,
        "kind": ["near"] * n,
        "transform": ["identity"] * n,
        **{tables.distance_column(name): rng.integers(0, 14, n) for name in ALGORITHMS},
        "similarity": 0.8 + 0.2 * rng.random(n),
        "false_probability": 0.2 * rng.random(n) ** 3,
        "first_frames_only": np.zeros(n, bool),
        "label_conflict": np.ones(n, bool),
        **{f"{name}_a": of_a[name] for name in ("id", "split", "label")},
        **{f"{name}_b": of_b[name] for name in ("id", "split", "label")},
    }
    return filled(values, tables.pairs_schema(ALGORITHMS), n)


def candidates(rng: np.random.Generator, found: pa.Table, n: int) -> pa.Table:
    """The pairs, and as many again that were rejected, as a run has them about."""
    n_pairs = len(found)
    b = np.concatenate([found["b"].to_numpy(), (found["a"].to_numpy() + 3) % n])
    values: dict[str, Any] = {
        "a": np.concatenate([found["a"].to_numpy()] * 2),
        "b": b,
        "transform": np.zeros(2 * n_pairs, np.uint8),
        **{tables.distance_column(name): rng.integers(0, 14, 2 * n_pairs) for name in ALGORITHMS},
        "similarity": np.concatenate([found["similarity"].to_numpy(), rng.random(n_pairs)]),
        "unframed": np.zeros(2 * n_pairs, np.uint8),
        "structure": 200 * rng.random(2 * n_pairs),
    }
    return filled(values, tables.candidates_schema(ALGORITHMS), 2 * n_pairs)


def filled(values: dict[str, Any], schema: pa.Schema, n: int) -> pa.Table:
    """A table of a schema; null where there is no value."""
    arrays = []
    for field in schema:
        value = values.get(field.name)
        if value is None:
            arrays.append(pa.nulls(n, field.type))
        else:
            is_arrow = isinstance(value, (pa.Array, pa.ChunkedArray))
            given = value if is_arrow else pa.array(value)
            arrays.append(given.cast(field.type))
    return pa.table(arrays, schema=schema)


def describe(folder: Path, n: int, n_pairs: int) -> None:
    """`summary.json` and `run.json`, as far as the review reads them."""
    config = build({"dataset": {"path": str(folder / "gone")}, "output": {"splits": "none"}})
    resolved = resolve(config, ["test", "train"]).but(max_distance={"dhash": 14, "phash": 14})
    kinds = dict.fromkeys(tables.KINDS, 0) | {"near": n_pairs}
    summary = {
        "samples": {"total": n, "readable": n},
        "decisions": {"keep": n - n_pairs, "drop": n_pairs, "move": 0, "unreadable": 0},
        "pairs": {"by_kind": kinds, "images": 2 * n_pairs, "label_conflicts": n_pairs},
        "leakage": {"test": {"images": n // 2, "leaking": n_pairs, "share": 0.2}},
        "resolved": resolved.settings(),
    }
    source = {"name": "made up", "in_memory": False, "form": "imagefolder", "names": []}
    info = {"state": "finished", "config": config.model_dump(mode="json"), "source": source}
    (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "run.json").write_text(json.dumps(info))


if __name__ == "__main__":
    main()
