"""The cache gives what was measured on files of the same content by the same code, or nothing;
never anything else.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

import dedup
from dedup import cli, tables
from dedup.cache import Environment, Room, clear, default_folder, prune, usage
from dedup.cache.segments import Rows, opened, write
from dedup.config import DatasetConfig
from dedup.decoding.contents import REFERENCES, Reader
from dedup.formats import PAYLOAD, open_source, payloads
from dedup.formats.references import tasks
from dedup.hashers import canaries
from dedup.hashers import work as measuring
from dedup.hashers.setup import Setup
from dedup.versions import VERSIONS
from tests import pictures
from tests.formats import made as forms
from tests.test_resume import aged, measured, settings

HERE = Environment("a" * 64, {"Pillow": "12.0"})
SCHEMA = pa.schema(
    [pa.field("key", pa.binary(32), nullable=False), ("n", pa.int64()), ("text", pa.string())]
)


def keys(seed: int, n: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (n, 32), dtype=np.uint8)


def table(of: np.ndarray[Any, np.dtype[np.uint8]], first: int = 0) -> pa.Table:
    numbers = [None if k % 5 == 0 else first + k for k in range(len(of))]
    texts = [None if k % 3 == 0 else f"é{k % 4}" for k in range(len(of))]
    return pa.table([[row.tobytes() for row in of], numbers, texts], schema=SCHEMA)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six photos of yesterday, two of them equal."""
    root = pictures.folder(
        tmp_path / "photos", [f"{split}/{k}.png" for split in ("train", "test") for k in range(3)]
    )
    (root / "test/9.png").write_bytes((root / "train/0.png").read_bytes())
    return aged(root)


class TestSegments:
    def test_rows_by_key(self, tmp_path: Path) -> None:
        """What was put in comes out under its key, from whichever file, in the order asked; nothing
        else does.
        """
        for seed in (1, 2, 3):
            write(table(keys(seed, 50), 100 * seed), tmp_path, "rows")
        rows = Rows(opened(tmp_path, "rows", SCHEMA), SCHEMA)
        asked = np.concatenate([keys(2, 50)[::-1], keys(9, 20), keys(1, 50)])
        at, found = rows.find(asked)

        assert list(at) == [*range(50), *range(70, 120)]
        expected = pa.concat_tables(
            [table(keys(2, 50), 200).take(pa.array(range(49, -1, -1))), table(keys(1, 50), 100)]
        )
        assert expected.to_pylist() == found.to_pylist()

    def test_equal_keys_and_none(self, tmp_path: Path) -> None:
        """Of equal keys the first row stays, and a segment may be empty."""
        twice = np.concatenate([keys(1, 5), keys(1, 5)])
        write(table(twice), tmp_path, "rows")
        write(table(keys(1, 0)), tmp_path, "rows")
        rows = Rows(opened(tmp_path, "rows", SCHEMA), SCHEMA)

        assert len(rows) == 5
        assert table(keys(1, 5)).to_pylist() == rows.find(keys(1, 5))[1].to_pylist()
        assert len(rows.find(keys(1, 0))[0]) == 0

    def test_keys_that_begin_alike(self, tmp_path: Path) -> None:
        """Eight equal bytes at the beginning make no equal keys."""
        known = keys(1, 20)
        others = known.copy()
        others[:, 31] ^= 1
        write(table(known), tmp_path, "rows")
        rows = Rows(opened(tmp_path, "rows", SCHEMA), SCHEMA)
        at, found = rows.find(np.concatenate([others, known]))

        assert [*range(20, 40)] == at.tolist()
        assert table(known).to_pylist() == found.to_pylist()

    @pytest.mark.skipif(
        sys.platform != "linux", reason="only Linux says what of a file is in memory"
    )
    def test_large_segments_do_not_stay_in_memory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What was looked up in segments that are too large to be held is let go, and found
        again.
        """

        def resident(path: Path) -> int:
            lines = Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines()
            starts = [k for k, line in enumerate(lines) if line.endswith(path.name)]
            return sum(
                int(next(line for line in lines[k:] if line.startswith("Rss:")).split()[1])
                for k in starts
            )

        path = write(table(keys(1, 20_000)), tmp_path, "rows")
        small = Rows(opened(tmp_path, "rows", SCHEMA), SCHEMA)
        small.find(keys(1, 20_000))
        kept = resident(path)
        del small
        monkeypatch.setattr("dedup.cache.segments._MAPPED", 1000)
        large = Rows(opened(tmp_path, "rows", SCHEMA), SCHEMA)
        found = [large.find(keys(1, 20_000))[1] for _ in range(2)]

        assert kept > 500
        assert resident(path) == 0
        assert [table(keys(1, 20_000)).to_pylist()] * 2 == [one.to_pylist() for one in found]

    @pytest.mark.parametrize("seed", range(30))
    def test_damage_anywhere(
        self, tmp_path: Path, seed: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Bytes that changed on the disk, or an end that is gone, give no row that was not written,
        and no crash.
        """
        path = write(table(keys(1, 200)), tmp_path, "rows")
        data = bytearray(path.read_bytes())
        rng = np.random.default_rng(seed)
        if seed % 3 == 0:
            data = data[: int(rng.integers(0, len(data)))]
        for place in rng.integers(0, max(1, len(data)), 8).tolist() if data else []:
            data[place] ^= int(rng.integers(1, 256))
        path.write_bytes(data)
        whole = table(keys(1, 200)).to_pylist()
        at, found = Rows(opened(tmp_path, "rows", SCHEMA), SCHEMA).find(keys(1, 200))

        assert [whole[k] for k in at.tolist()] == found.to_pylist()


class TestRuns:
    @pytest.mark.parametrize("trust", ["size_and_time", "content"])
    def test_nothing_is_hashed_twice(
        self, photos: Path, tmp_path: Path, trust: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A second run, in another folder, measures no picture and has the same tables."""
        first = dedup.run(settings(photos, tmp_path / "one", cache={"trust": trust}))
        counts = measured(monkeypatch)
        second = dedup.run(settings(photos, tmp_path / "two", cache={"trust": trust}))

        assert counts == []
        assert first.hashes.equals(second.hashes)
        for name in tables.NAMES:
            one, two = (tmp_path / run / f"{name}.parquet" for run in ("one", "two"))
            assert one.read_bytes() == two.read_bytes()

    def test_size_and_time(self, photos: Path) -> None:
        """With them trusted, a file of the same size and time is not read; with `content` it is."""
        dedup.run(settings(photos, None))
        path = photos / "test/1.png"
        before = path.stat()
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 255
        with path.open("r+b") as file:  # the same inode
            file.write(data)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        trusted = dedup.run(settings(photos, None)).hashes
        read = dedup.run(settings(photos, None, cache={"trust": "content"})).hashes
        fresh = dedup.run(settings(photos, None, cache={"folder": None})).hashes

        assert fresh.equals(read)
        assert fresh.equals(trusted)  # the time of the inode tells

    def test_a_file_that_was_edited(self, photos: Path) -> None:
        """A file of the same size and inode with another time is read."""
        dedup.run(settings(photos, None))
        path = photos / "test/1.png"
        before, data = path.stat(), bytearray(path.read_bytes())
        data[len(data) // 2] ^= 255
        with path.open("r+b") as file:
            file.write(data)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))
        found = dedup.run(settings(photos, None)).hashes

        assert before.st_ino == path.stat().st_ino
        assert found.equals(dedup.run(settings(photos, None, cache={"folder": None})).hashes)

    def test_a_file_put_in_the_place_of_another(self, photos: Path) -> None:
        """A file that was renamed over another one is read, though it has its size and its time."""
        dedup.run(settings(photos, None))
        path, other = photos / "test/1.png", photos / "test/other.partial"
        before, data = path.stat(), bytearray(path.read_bytes())
        data[len(data) // 2] ^= 255
        other.write_bytes(data)
        os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
        other.replace(path)
        found = dedup.run(settings(photos, None)).hashes

        assert before.st_size == path.stat().st_size
        assert found.equals(dedup.run(settings(photos, None, cache={"folder": None})).hashes)

    def test_what_is_known_is_not_written_again(self, photos: Path) -> None:
        """A run that reads every file and finds all of it known leaves the cache as it was."""
        dedup.run(settings(photos, None))
        before = {path: path.read_bytes() for path in default_folder().rglob("*.arrow")}
        dedup.run(settings(photos, None, cache={"trust": "content"}))
        (photos / "test/9.png").write_bytes((photos / "train/1.png").read_bytes())
        aged(photos, 90_000)
        changed = dedup.run(settings(photos, None))
        after = {path: path.read_bytes() for path in default_folder().rglob("*.arrow")}

        assert before.items() < after.items()
        assert changed.hashes.equals(
            dedup.run(settings(photos, None, cache={"folder": None})).hashes
        )

    def test_a_file_of_this_moment_is_read_again(self, photos: Path) -> None:
        """A file that was changed within the last two seconds may change again without a new time:
        it has no stamp.
        """
        aged(photos, seconds=0)
        dedup.run(settings(photos, None))
        held = Room(default_folder(), {}, HERE, tables.hashes_schema({}))

        assert usage(default_folder()).files == 1
        assert held.others() == []

    def test_another_setting_is_another_room(
        self, photos: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Codes of other algorithms, widths or backgrounds are never taken."""
        dedup.run(settings(photos, None))
        for of_hash in ({"bits": 256}, {"algorithms": ["ahash"]}, {"background": "#000000"}):
            with monkeypatch.context() as patch:
                counts = measured(patch)
                dedup.run(settings(photos, None, hash=of_hash))
                assert sum(counts) == 7

        assert usage(default_folder()).rooms == 4

    def test_another_environment(
        self, photos: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What was made where the canaries come out differently is not used, and both environments
        are named.
        """
        from dedup.stages import hashes as hashing

        dedup.run(settings(photos, None))
        monkeypatch.setattr(hashing, "VERSIONS", {"Pillow": "99.9"})
        monkeypatch.setattr(canaries, "canary", lambda setup: "f" * 64)
        counts = measured(monkeypatch)
        dedup.run(settings(photos, None))

        assert sum(counts) == 7
        assert "Pillow 99.9 (canary ffffffffffff)" in caplog.text
        assert f"Pillow {VERSIONS['Pillow']}" in caplog.text
        caplog.clear()
        dedup.run(settings(photos, None))
        assert "Not used" not in caplog.text  # it has a room of its own by now

    def test_what_cannot_be_written_is_done_without(
        self, photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A cache that is a file, on a full disk or read-only costs a warning, not the run."""
        (tmp_path / "file").write_text("mine")
        run = dedup.run(settings(photos, None, cache={"folder": str(tmp_path / "file")}))

        assert run.hashes["status"].to_pylist() == ["ok"] * 7
        assert "cannot be written" in caplog.text
        assert (tmp_path / "file").read_text() == "mine"

    def test_a_ruined_cache(self, photos: Path, caplog: pytest.LogCaptureFixture) -> None:
        """Files of the cache that hold anything else are named and left out."""
        first = dedup.run(settings(photos, None))
        for path in default_folder().rglob("*.arrow"):
            path.write_bytes(b"ARROW1 but no more")
        second = dedup.run(settings(photos, None))

        assert first.hashes.equals(second.hashes)
        assert "is not used" in caplog.text

    def test_two_runs_at_once(self, photos: Path, tmp_path: Path) -> None:
        """Runs that share a cache from the same moment on have the same result, and so has the one
        after them.
        """
        command = [
            sys.executable,
            "-m",
            "dedup",
            "audit",
            str(photos),
            "--workers",
            "1",
            "--quiet",
            "-o",
        ]
        started = [subprocess.Popen([*command, str(tmp_path / name)]) for name in ("one", "two")]
        assert [process.wait() for process in started] == [0, 0]
        subprocess.run([*command, str(tmp_path / "three")], check=True)
        read = [
            (tmp_path / name / "hashes.parquet").read_bytes() for name in ("one", "two", "three")
        ]

        assert read[0] == read[1] == read[2]

    @pytest.mark.parametrize("form", ["parquet", "arrow", "tar", "memory"])
    def test_pictures_inside_files(
        self, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Pictures in Parquet, Arrow and tar files have the hashes of those in memory, and are kept
        as files are.
        """
        given: Any = tmp_path / "data"
        if form == "parquet":
            forms.parquet(given, forms.rows())
        elif form == "tar":
            forms.webdataset(given, forms.rows())
        else:
            made = datasets.Dataset.from_dict(
                {
                    "image": [
                        {"bytes": pictures.encoded(pictures.photo(k)), "path": None}
                        for k in range(8)
                    ]
                }
            ).cast_column("image", datasets.Image())
            made.save_to_disk(str(given))
            given = made if form == "memory" else given
        if form != "memory":
            aged(given)
        first = dedup.audit(given, workers=0)
        here = dedup.audit(given, workers=1, cache={"folder": None})
        counts = measured(monkeypatch)
        again = dedup.audit(given, workers=0)

        assert first.hashes.equals(here.hashes)
        assert first.hashes.equals(again.hashes)
        assert sum(counts) == 0

    @pytest.mark.skipif(
        sys.platform != "linux", reason="where Arrow maps a file is told by /proc only"
    )
    @pytest.mark.parametrize("form", ["parquet", "arrow", "tar"])
    def test_workers_read_them_themselves(self, form: str, tmp_path: Path) -> None:
        """Tasks say where pictures lie in Parquet, Arrow and tar files, and hold none: nothing
        large is copied.
        """
        given = tmp_path / "data"
        if form == "parquet":
            forms.parquet(given, forms.rows())
        elif form == "tar":
            forms.webdataset(given, forms.rows())
        else:
            data = [pictures.encoded(pictures.photo(k)) for k in range(8)]
            images = datasets.Dataset.from_dict(
                {"image": [{"bytes": one, "path": None} for one in data]}
            )
            images.cast_column("image", datasets.Image()).save_to_disk(str(given))
        source = open_source(DatasetConfig(path=str(given)))
        expected = [row for batch in payloads(source, 3) for row in batch["data"].to_pylist()]
        batches = list(tasks(source, 3))

        assert all(batch.schema.names == REFERENCES.names for batch in batches)
        assert expected == [content for batch in batches for content in Reader().contents(batch)]

    def test_a_row_that_was_given_up_is_tried_again(self, photos: Path) -> None:
        """Rows that no worker could do are not kept: it may have been bad luck."""
        work = measuring.work(Setup(("dhash",), 64, "compat", "#ffffff", 10))
        task = pa.record_batch([[0], [os.fsencode(photos / "test/1.png")], [None]], schema=PAYLOAD)
        (lost,) = measuring.lost(work, task, "no luck").to_pylist()

        assert lost["detail"] == "no luck"
        assert lost["file_digest"] is not None
        assert not lost[measuring.FRESH]


class TestSize:
    def test_prune_takes_the_longest_unused(
        self, photos: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What was used last stays; what is deleted is measured again."""
        folder = default_folder()
        dedup.run(settings(photos, None))
        for path in folder.rglob("*.arrow"):
            os.utime(path, (1, 1))
        dedup.run(settings(photos, None, hash={"bits": 256}))
        before = usage(folder)
        freed = prune(folder, max_days=1)
        after = usage(folder)

        assert before.n_bytes - freed == after.n_bytes > 0
        assert after.rooms == 1
        assert prune(folder, max_bytes=0) == after.n_bytes
        assert usage(folder).files == 0

    def test_prune_keeps_what_fits(self, photos: Path) -> None:
        """Of too many bytes the longest unused go first, and no more than must."""
        folder = default_folder()
        for bits in (64, 256):
            dedup.run(settings(photos, None, hash={"bits": bits}))
        paths = sorted(folder.rglob("*.arrow"))
        for age, path in enumerate(paths):
            os.utime(path, (1_000_000 - age, 1_000_000 - age))
        kept = paths[: len(paths) // 2]
        prune(folder, max_bytes=sum(path.stat().st_size for path in kept))

        assert kept == sorted(folder.rglob("*.arrow"))

    def test_a_run_keeps_to_the_limit(self, photos: Path) -> None:
        """`cache.max_bytes` holds after every run."""
        dedup.run(settings(photos, None, cache={"max_bytes": 1}))

        assert usage(default_folder()).files == 0

    def test_many_small_files_become_one(self, photos: Path, tmp_path: Path) -> None:
        """After many runs over a few new pictures each, there are few files, with all that was in
        them.
        """
        for k in range(10):
            root = aged(pictures.folder(tmp_path / str(k), [f"{k}.png"], first_seed=50 + k))
            dedup.run(settings(root, None))

        assert usage(default_folder()).files < 10
        assert dedup.run(settings(tmp_path / "3", None)).hashes["status"].to_pylist() == ["ok"]

    def test_the_commands(self, photos: Path) -> None:
        """`info` says what is there, `prune` asks what may go, `clear` deletes it and nothing
        beside it.
        """
        dedup.run(settings(photos, None))
        (default_folder() / "mine.txt").write_text("mine")

        def said(*arguments: str) -> tuple[int, str]:
            done = CliRunner().invoke(cli.app, ["cache", *arguments])
            return done.exit_code, done.output

        assert str(default_folder()) in said("info")[1].replace("\n", "")
        assert "in 2 files, for 1 kinds" in said("info")[1]
        assert said("prune")[0] == 2
        assert said("prune", "--days", "1")[0] == 0
        assert said("clear")[0] == 0
        assert usage(default_folder()).files == 0
        assert (default_folder() / "mine.txt").read_text() == "mine"
        assert clear(default_folder() / "nowhere") == 0
