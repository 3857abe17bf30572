"""Whole runs on clusters of several nodes: the tables of local processes, byte for byte, or a clear
end.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dedup import pipeline
from dedup.config import build
from dedup.errors import EngineError
from tests import pictures

TOOL = Path(__file__).parents[2] / "tools" / "same_tables.py"
N_PHOTOS = 48


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures in two splits: originals, edited copies of them, and one broken file."""
    root = tmp_path_factory.mktemp("photos")
    for seed in range(N_PHOTOS):
        picture = pictures.photo(seed, (200, 150))
        pictures.save(picture, root / "train" / "x" / f"{seed}.jpg", quality=90)
        if seed % 3 == 0:
            pictures.save(picture, root / "test" / "x" / f"{seed}_again.jpg", quality=60)
        if seed % 5 == 0:
            small = picture.resize((150, 112), Image.Resampling.LANCZOS)
            pictures.save(small, root / "train" / "x" / f"{seed}_small.png")
    (root / "train" / "x" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing more")
    return root


def shards(photos: Path, root: Path) -> Path:
    """The same pictures as WebDataset shards."""
    import tarfile

    for split in ("train", "test"):
        root.mkdir(exist_ok=True)
        with tarfile.open(root / f"{split}-000.tar", "w") as tar:
            for path in sorted((photos / split).rglob("*.*")):
                tar.add(path, path.name)
    return root


def parquet(photos: Path, root: Path) -> Path:
    """The same pictures inside Parquet files, in row groups."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (root / "data").mkdir(parents=True)
    for split in ("train", "test"):
        files = sorted((photos / split).rglob("*.*"))
        rows = [{"image": {"bytes": path.read_bytes(), "path": path.name}} for path in files]
        target = root / "data" / f"{split}-00000-of-00001.parquet"
        pq.write_table(pa.Table.from_pylist(rows), target, row_group_size=7)
    return root


FORMS: dict[str, Callable[[Path, Path], Path]] = {
    "imagefolder": lambda photos, _: photos,
    "webdataset": shards,
    "parquet": parquet,
}


def ran(dataset: Path, out: Path, **engine: Any) -> Any:
    """A run, with the second look, without a cache."""
    settings = {
        "dataset": {"path": str(dataset)},
        "engine": engine,
        "cache": {"folder": None},
        "output": {"dir": str(out), "report": False},
    }
    return pipeline.run(build(settings))


def refuse_differences(one: Path, two: Path) -> None:
    """Fail where a table or a written split differs."""
    command = [sys.executable, str(TOOL), "--bytes", str(one), str(two)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout

    def written(run: Path) -> dict[str, bytes]:
        files = (path for path in (run / "splits").rglob("*") if path.is_file())
        return {str(path.relative_to(run)): path.read_bytes() for path in files}

    assert written(one) == written(two)


@pytest.mark.parametrize("n_nodes", [1, 2, 4])
def test_the_same_tables_on_any_number_of_nodes(
    nodes: Callable[..., Any], photos: Path, tmp_path: Path, n_nodes: int
) -> None:
    """Tables and splits of every form are those of local processes.

    So few tasks may all be done before a second node has started; that all nodes work where there
    is enough to do is a test of the engine.
    """
    address = nodes(n_nodes).address
    for form, made in FORMS.items():
        dataset = made(photos, tmp_path / form)
        ran(dataset, tmp_path / f"{form}_here", workers=1)
        on_ray = ran(dataset, tmp_path / f"{form}_ray", kind="ray", address=address)

        refuse_differences(tmp_path / f"{form}_here", tmp_path / f"{form}_ray")
        assert 1 <= len(on_ray.info["tasks_by_node"]) <= n_nodes
        assert len(on_ray.pairs) > N_PHOTOS // 3


def started(dataset: Path, out: Path, address: str) -> subprocess.Popen[str]:
    """A driver in a process of its own."""
    settings = {
        "dataset": {"path": str(dataset)},
        "engine": {"kind": "ray", "address": address},
        "cache": {"folder": None},
        "output": {"dir": str(out), "report": False},
    }
    config = out.with_suffix(".yaml")
    config.write_text(json.dumps(settings))
    command = [sys.executable, "-m", "dedup", "run", str(config), "-q"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_killed_nodes_cost_no_row(nodes: Callable[..., Any], photos: Path, tmp_path: Path) -> None:
    """Nodes that go at random moments, each followed by a new one, change no table."""
    small = {"num_cpus": 1, "object_store_memory": 80 << 20}
    cluster = nodes(1)
    mortal = [cluster.add_node(**small) for _ in range(2)]
    cluster.wait_for_nodes()
    ran(photos, tmp_path / "here", workers=1)
    chance, n_killed = random.Random(28), 0

    with started(photos, tmp_path / "ray", cluster.address) as driver:
        while driver.poll() is None:
            time.sleep(chance.uniform(1, 4))
            if n_killed < 5 and driver.poll() is None:
                # its raylet gets SIGKILL, and its workers go with it
                cluster.remove_node(mortal.pop(chance.randrange(2)), allow_graceful=False)
                mortal.append(cluster.add_node(**small))
                n_killed += 1
        said = driver.communicate()[1]

    assert 0 == driver.returncode, said
    assert n_killed >= 1
    refuse_differences(tmp_path / "here", tmp_path / "ray")


def test_a_node_that_decodes_otherwise_is_refused(
    nodes: Callable[..., Any], photos: Path, tmp_path: Path
) -> None:
    """A node whose library resizes otherwise is named, and nothing of the run is left."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "sitecustomize.py").write_text(
        "from PIL import Image\n"
        "old = Image.Image.resize\n"
        "def resize(self, *of, **more):\n"
        "    return old(self, *of, **more).point(lambda level: level ^ 8)\n"
        "Image.Image.resize = resize\n"
    )
    cluster = nodes(1, num_cpus=0)
    cluster.add_node(num_cpus=1, object_store_memory=80 << 20, env_vars={"PYTHONPATH": str(other)})
    cluster.wait_for_nodes()
    with pytest.raises(EngineError, match=r"The node '.*/[0-9a-f]{8}' makes something else"):
        ran(photos, tmp_path / "out", kind="ray", address=cluster.address)

    assert not (tmp_path / "out" / "summary.json").exists()


def test_a_dataset_on_the_driver_only(
    nodes: Callable[..., Any], photos: Path, tmp_path: Path
) -> None:
    """A node that cannot open what the driver can is named, with the file."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    # os.access is the first question that a node asks of every file
    (hidden / "sitecustomize.py").write_text(
        f"import os\nold = os.access\nhome = {os.fsencode(photos)!r}\n"
        "os.access = lambda path, mode, **of: home not in os.fsencode(path) and old(path, mode)\n"
    )
    cluster = nodes(1, num_cpus=0)
    env_vars = {"PYTHONPATH": str(hidden)}
    cluster.add_node(num_cpus=1, object_store_memory=80 << 20, env_vars=env_vars)
    cluster.wait_for_nodes()
    with pytest.raises(EngineError, match=r"cannot open '.*\.(jpg|png)'.*shared file system"):
        ran(photos, tmp_path / "out", kind="ray", address=cluster.address)


def test_two_drivers_on_one_output(two_nodes: Any, photos: Path, tmp_path: Path) -> None:
    """The second driver is refused while the first works, and the first one's run is whole."""
    first = started(photos, tmp_path / "out", two_nodes.address)
    lock = tmp_path / "out" / ".dedup" / "lock"
    deadline = time.monotonic() + 60
    while not (lock.exists() and lock.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    second = started(photos, tmp_path / "out", two_nodes.address)
    _, refusal = second.communicate(timeout=120)
    _, said = first.communicate(timeout=120)

    assert 0 == first.returncode, said
    assert 1 == second.returncode
    assert "is in use by another run of dedup" in " ".join(refusal.split())
    assert "finished" == json.loads((tmp_path / "out" / "run.json").read_text())["state"]
