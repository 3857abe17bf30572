"""Runs on Ray against runs on local processes: their time, and their tables after kills.

    python -m benchmarks.cluster speed --photos 20000
    python -m benchmarks.cluster kills --kills 20

Both start clusters on this machine and make pictures below --folder. Tables are compared to the
last byte (tools/same_tables.py).
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
NODE = {"num_cpus": 1, "object_store_memory": 80 << 20}
KINDS = 64  # different pictures that the others are crops of


def photos(folder: Path, n: int, side: int = 320) -> Path:
    """A folder of so many pictures, made once: crops of random scenes, no two alike."""
    root = folder / f"photos-{n}"
    if root.is_dir():
        return root
    chance = np.random.default_rng(28)
    scenes = []
    for _ in range(KINDS):
        cells = Image.fromarray(chance.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        scenes.append(cells.resize((3 * side, 3 * side), Image.Resampling.BICUBIC))
    for k in range(n):
        x, y = chance.integers(0, 2 * side, 2).tolist()
        path = root / ("test" if k % 10 == 0 else "train") / f"{k % 50:02}" / f"{k}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        scenes[k % KINDS].crop((x, y, x + side, y + side)).save(path, quality=85)
    return root


def started(dataset: Path, out: Path, **engine: Any) -> subprocess.Popen[bytes]:
    """A driver in a process of its own, without a cache."""
    settings = {
        "dataset": {"path": str(dataset)},
        "engine": engine,
        "cache": {"folder": None},
        "output": {"dir": str(out), "report": False, "splits": "none"},
    }
    config = out.with_suffix(".yaml")
    config.write_text(json.dumps(settings))
    command = [sys.executable, "-m", "dedup", "run", str(config), "-q", "--overwrite"]
    return subprocess.Popen(command, cwd=ROOT)


def stages(run: Path) -> dict[str, float]:
    """Seconds of each stage."""
    info = json.loads((run / "run.json").read_text())
    return {stage["stage"]: stage["seconds"] for stage in info["stages"]}


def same(one: Path, two: Path) -> bool:
    """Whether all tables are equal to the last byte."""
    tool = [sys.executable, str(ROOT / "tools" / "same_tables.py"), "--bytes", str(one), str(two)]
    return subprocess.run(tool, check=False).returncode == 0


def cluster_of(n_cpus: int, **more: Any) -> Any:
    """A cluster of one node."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    head = {**NODE, "num_cpus": n_cpus, "include_dashboard": False, **more}
    return Cluster(initialize_head=True, head_node_args=head)


def speed(folder: Path, n: int) -> bool:
    """Hashing and the second look on one node, against as many local processes."""
    dataset = photos(folder, n)
    workers = len(os.sched_getaffinity(0))
    good = started(dataset, folder / "here", workers=workers).wait() == 0
    cluster = cluster_of(workers)
    try:
        engine = {"kind": "ray", "address": cluster.address}
        good &= started(dataset, folder / "ray", **engine).wait() == 0
    finally:
        cluster.shutdown()
    here, there = stages(folder / "here"), stages(folder / "ray")
    for name in ("hashes", "candidates"):
        print(f"{name:12} processes {here[name]:7.1f} s   Ray {there[name]:7.1f} s")
    return good and same(folder / "here", folder / "ray")


def kills(folder: Path, n: int, wanted: int, seed: int) -> bool:
    """Runs during which random nodes get SIGKILL at random moments, until there were enough."""
    dataset = photos(folder, n)
    good = started(dataset, folder / "here", workers=1).wait() == 0
    quick = {
        "health_check_initial_delay_ms": 1000,
        "health_check_period_ms": 1000,
        "health_check_timeout_ms": 1000,
        "health_check_failure_threshold": 3,
    }
    cluster, chance, n_killed, n_runs = (
        cluster_of(1, _system_config=quick),
        random.Random(seed),
        0,
        0,
    )
    mortal = [cluster.add_node(**NODE) for _ in range(2)]
    try:
        while n_killed < wanted and good:
            out = folder / f"killed-{n_runs}"
            driver = started(dataset, out, kind="ray", address=cluster.address)
            while driver.poll() is None:
                time.sleep(chance.uniform(0.5, 4))
                if driver.poll() is None and n_killed < wanted:
                    cluster.remove_node(mortal.pop(chance.randrange(2)), allow_graceful=False)
                    mortal.append(cluster.add_node(**NODE))
                    n_killed += 1
            n_runs += 1
            good &= driver.returncode == 0 and same(folder / "here", out)
            print(f"run {n_runs}: {n_killed} kills so far, {'equal' if good else 'NOT EQUAL'}")
    finally:
        cluster.shutdown()
    return good


def main() -> None:
    """Exit code 1 where tables differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["speed", "kills"])
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=28)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as fresh:
        folder = given.folder or Path(fresh)
        folder.mkdir(parents=True, exist_ok=True)
        if given.what == "speed":
            good = speed(folder, given.photos)
        else:
            good = kills(folder, given.photos, given.kills, given.seed)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
