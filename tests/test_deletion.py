"""Nothing that is not this tool's own is deleted or replaced: each test is a way in which it once
could be.
"""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

import dedup
from dedup import demo, files, pipeline
from dedup.cache import clear, prune
from dedup.errors import RunError
from tests import pictures

PACKAGE = Path(dedup.__file__).parent

DELETING = {"rmtree", "unlink", "rmdir", "removedirs"}
"""Names of functions that delete, whatever they are called on."""


def settings(dataset: Path, output: Path | None, **sections: Any) -> dict[str, Any]:
    where = {"splits": "none"} if output is None else {"dir": str(output), "report": False}
    return {
        "dataset": {"path": str(dataset)},
        "output": where,
        "engine": {"workers": 0},
        **sections,
    }


def below(root: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A small dataset with two splits."""
    return pictures.folder(tmp_path / "photos", ["train/1.png", "train/2.png", "test/3.png"])


def test_one_function_deletes() -> None:
    """No module but `files` calls anything that deletes."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "os":
                named = {alias.name for alias in node.names}
            elif isinstance(node, ast.Import):
                named = {alias.name for alias in node.names if alias.name == "os" and alias.asname}
            else:
                named = set()
            if named & {"remove", "os"}:  # under another name it would not be seen below
                found.append(path.relative_to(PACKAGE).as_posix())
            if not isinstance(node, ast.Attribute | ast.Name):
                continue
            name = node.attr if isinstance(node, ast.Attribute) else node.id
            of_os = (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "os"
            )
            if name in DELETING or (of_os and name == "remove"):
                found.append(path.relative_to(PACKAGE).as_posix())

    assert {"files.py"} == set(found)


class TestMarked:
    def test_only_what_was_written_down(self, tmp_path: Path) -> None:
        """A marked folder gives up what is listed in its marker, and refuses anything else by
        name.
        """
        owner = files.mark(tmp_path, "run", {"ours": None})
        (tmp_path / "ours").mkdir()
        (tmp_path / "ours" / "x").write_text("x")
        (tmp_path / "theirs").write_text("mine")
        files.remove(tmp_path / "ours", owner)
        with pytest.raises(RunError, match=r"theirs' was not made by dedup"):
            files.remove(tmp_path / "theirs", owner)

        assert not (tmp_path / "ours").exists()
        assert (tmp_path / "theirs").read_text() == "mine"
        assert owner.strangers() == ["theirs"]

    def test_another_thing_under_the_name(self, tmp_path: Path) -> None:
        """With a proof, a folder that was put in the place of ours, or got a file more, is not
        ours.
        """
        (tmp_path / "ours").mkdir()
        (tmp_path / "ours" / "x").write_text("x")
        owner = files.mark(tmp_path, "run", {"ours": files.proof_of(tmp_path / "ours")})
        before = owner.owns(tmp_path / "ours")
        (tmp_path / "ours" / "y").write_text("mine")

        assert before
        assert not owner.owns(tmp_path / "ours")

    def test_links_are_not_followed(self, tmp_path: Path) -> None:
        """A link under one of our names goes; what it leads to stays."""
        (tmp_path / "precious").mkdir()
        (tmp_path / "precious" / "x").write_text("mine")
        owner = files.mark(tmp_path / "run", "run", {"splits": None})
        (tmp_path / "run/splits").symlink_to(tmp_path / "precious")
        files.remove(tmp_path / "run/splits", owner)

        assert not (tmp_path / "run/splits").is_symlink()
        assert (tmp_path / "precious/x").read_text() == "mine"

    @pytest.mark.parametrize(
        "content", ["", "{}", "[]", '{"tool": "other", "kind": "run", "id": "1", "made": {}}']
    )
    def test_what_is_not_a_marker(self, tmp_path: Path, content: str) -> None:
        """A file of that name with another content marks nothing, and a marker of another kind does
        not, either.
        """
        (tmp_path / files.OWN).mkdir()
        (tmp_path / files.OWN / files.MARKER).write_text(content)
        files.mark(tmp_path / "demo", "demo")

        assert files.marked(tmp_path, "run") is None
        assert files.marked(tmp_path / "demo", "run") is None
        assert files.marked(tmp_path / "demo", "demo") is not None

    def test_the_id_stays(self, tmp_path: Path) -> None:
        """Two folders have two ids; marking again keeps the id."""
        one, two, again = (files.mark(tmp_path / name, "run") for name in ("1", "2", "1"))

        assert one.id == again.id != two.id


class TestDemo:
    """`dedup demo DIR`."""

    @pytest.mark.parametrize("name", ["dataset", "run", "planted.csv"])
    def test_folders_of_the_user(self, tmp_path: Path, name: str) -> None:
        """What is called like a part of the demo is refused by name, and stays."""
        mine = tmp_path / name if "." in name else tmp_path / name / "thesis.png"
        mine.parent.mkdir(exist_ok=True)
        mine.write_text("years of work")
        with pytest.raises(RunError, match=f"'{name}' was not made by the demo"):
            demo.run(tmp_path, workers=0)

        assert mine.read_text() == "years of work"

    def test_a_dataset_that_took_the_place_of_the_demo(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After a demo, its dataset is made again; one that somebody changed or replaced is
        refused.
        """

        def few(dataset: Path) -> list[demo.Plant]:
            pictures.folder(dataset, ["train/x/1.png", "test/x/2.png"])
            return []

        monkeypatch.setattr(demo, "build_dataset", few)
        demo.run(tmp_path, workers=0)
        demo.run(tmp_path, workers=0)
        (tmp_path / "dataset/train/x/mine.png").write_bytes(b"years of work")
        with pytest.raises(
            RunError, match="dataset' was not made by the demo, or was changed since"
        ):
            demo.run(tmp_path, workers=0)

        assert (tmp_path / "dataset/train/x/mine.png").read_bytes() == b"years of work"


class TestCache:
    """A folder that is named as `cache.folder`."""

    @pytest.fixture
    def mine(self, tmp_path: Path) -> Path:
        """Projects of somebody, with the file names that rooms of the cache have."""
        root = tmp_path / "projects"
        for name in ("thesis", "0123456789abcdef0123"):
            (root / name / "deep").mkdir(parents=True)
            (root / name / "about.json").write_text(
                json.dumps({"layout": "1", "spec": {}, "environment": {}})
            )
            (root / name / "rows-1.arrow").write_bytes(b"years of work")
            (root / name / ".x.partial").write_bytes(b"years of work")
            (root / name / "deep" / "data.arrow").write_bytes(b"years of work")
        (root / "only_about").mkdir()
        (root / "only_about" / "about.json").write_text("{}")
        return root

    def test_a_run(self, mine: Path, photos: Path) -> None:
        """A run puts its room beside them and leaves them alone."""
        before = below(mine)
        run = dedup.run(settings(photos, None, cache={"folder": str(mine), "max_bytes": 1}))

        assert run.summary["decisions"]["keep"] == 3
        assert before == {name: data for name, data in below(mine).items() if name in before}

    def test_clear_and_prune(self, mine: Path, photos: Path) -> None:
        """`dedup cache clear` and `prune` delete rooms of ours, and of them only what is ours."""
        before = below(mine)
        dedup.run(settings(photos, None, cache={"folder": str(mine)}))
        room = next(
            path.parent
            for path in mine.glob("*/about.json")
            if path.relative_to(mine).as_posix() not in before
        )
        (room / "notes.txt").write_text("mine")
        held = len(list(room.glob("*.arrow")))
        prune(mine, max_bytes=0, max_days=0)
        freed = clear(mine)

        assert held > 0
        assert freed == 0
        assert {**before, f"{room.name}/notes.txt": b"mine"} == {
            name: data for name, data in below(mine).items() if name != f"{room.name}/about.json"
        }

    def test_a_room_without_other_files_goes(self, mine: Path, photos: Path) -> None:
        """A room that holds nothing of anybody else is deleted whole."""
        before = below(mine)
        dedup.run(settings(photos, None, cache={"folder": str(mine)}))
        n_rooms = len(list(mine.iterdir()))
        clear(mine)

        assert n_rooms == 4
        assert before == below(mine)
        assert len(list(mine.iterdir())) == 3


class TestRunFolder:
    """`output.dir`, and `--overwrite`."""

    @pytest.mark.parametrize("overwrite", [False, True])
    def test_a_run_of_another_tool(self, photos: Path, tmp_path: Path, overwrite: bool) -> None:
        """A folder with the files of a run and no marker is another tool's, or older than markers:
        it stays.
        """
        other = tmp_path / "wandb"
        (other / "splits").mkdir(parents=True)
        for name in (
            "run.json",
            "summary.json",
            "report.html",
            "pairs.parquet",
            "splits/train.txt",
        ):
            (other / name).write_text('{"state": "finished", "fingerprints": {}}')
        before = below(other)
        with pytest.raises(RunError, match=r"holds no run of dedup: its run\.json has no marker"):
            dedup.run(settings(photos, other), overwrite=overwrite)

        assert before == below(other)

    def test_a_folder_of_the_user_in_a_run(self, photos: Path, tmp_path: Path) -> None:
        """What somebody put into a run folder under a name that the run did not use is refused and
        stays.
        """
        dedup.run(
            settings(photos, None) | {"output": {"dir": str(tmp_path / "run"), "splits": "none"}}
        )
        (tmp_path / "run/splits").mkdir()
        (tmp_path / "run/splits/mine.txt").write_text("years of work")
        with pytest.raises(RunError, match="splits' was not made by dedup"):
            dedup.run(settings(photos, tmp_path / "run"), overwrite=True)
        with pytest.raises(RunError, match="splits' was not made by dedup"):
            pipeline.decide(tmp_path / "run", ["output.splits=same"])

        assert (tmp_path / "run/splits/mine.txt").read_text() == "years of work"

    @pytest.mark.parametrize("place", ["train/mine.png", "mine/notes.txt", "link"])
    @pytest.mark.parametrize("again", ["run", "decide"])
    def test_a_file_of_the_user_in_the_splits(
        self, photos: Path, tmp_path: Path, place: str, again: str
    ) -> None:
        """What somebody added to the written splits is not deleted with them: the run stays as it
        was, and the message names the folder.
        """
        out = tmp_path / "out"
        dedup.run(settings(photos, out))
        mine = out / "splits" / place
        mine.parent.mkdir(exist_ok=True)
        if place == "link":
            mine.symlink_to(photos)
        else:
            mine.write_text("mine")
        before = below(out / "splits")

        other = settings(photos, out, hash={"bits": 256})
        with pytest.raises(RunError, match=r"splits' was not made by dedup, or was replaced"):
            dedup.run(other, overwrite=True) if again == "run" else dedup.decide(
                out, leakage="regroup"
            )

        assert before == below(out / "splits")

    def test_files_of_programs_in_the_splits(self, photos: Path, tmp_path: Path) -> None:
        """What systems and Ultralytics leave in folders is in nobody's way, nor is a marker of
        before files were counted.
        """
        out = tmp_path / "out"
        dedup.run(settings(photos, out))
        for name in (".DS_Store", "train/Thumbs.db", "train.cache"):
            (out / "splits" / name).write_text("x")
        dedup.run(settings(photos, out, hash={"bits": 256}), overwrite=True)
        marker = out / files.OWN / files.MARKER
        known = json.loads(marker.read_text())
        known["made"]["splits"] = known["made"]["splits"].split(" ")[0]
        marker.write_text(json.dumps(known))
        dedup.decide(out, duplicates="report_only")

        assert not list((out / "splits").rglob("Thumbs.db"))

    def test_splits_that_somebody_replaced(self, photos: Path, tmp_path: Path) -> None:
        """Splits of a run that were moved away for a folder of one's own are not deleted in their
        place.
        """
        dedup.run(settings(photos, tmp_path / "run"))
        (tmp_path / "run/splits").rename(tmp_path / "elsewhere")
        (tmp_path / "run/splits").mkdir()
        (tmp_path / "run/splits/mine.txt").write_text("years of work")
        with pytest.raises(RunError, match="splits' was not made by dedup"):
            dedup.run(settings(photos, tmp_path / "run"))

        assert (tmp_path / "run/splits/mine.txt").read_text() == "years of work"
