"""Nothing that is not an image gets into an output, wherever it is; what is an image may lie
anywhere.
"""

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dedup
from dedup import pipeline
from dedup.config import Config
from dedup.decoding.contents import PAYLOAD
from dedup.errors import ConfigError, SourceError
from dedup.hashers import work
from dedup.hashers.setup import Setup
from dedup.runs import finishing
from dedup.runs import output as run_output
from tests import pictures

KEY = b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END OPENSSH PRIVATE KEY-----\n"
SECRETS = {
    "a key": KEY,
    "a document": b"%PDF-1.7\nsecret",
    "an archive": b"PK\x03\x04 secret",
    "a program": b"\x7fELF secret",
    "a letter that begins like a bitmap": b"BM, my dear, this is secret\n" * 9,
    "zeros": bytes(900) + b"secret",
}
FORMS = ["same", "imagefolder", "manifest", "parquet", "webdataset"]
FILES = ["hardlink", "copy", "symlink"]


def settings(dataset: dict[str, Any], where_to: Path, **sections: Any) -> dict[str, Any]:
    where = {"dir": str(where_to), "report": False, **sections.pop("output", {})}
    return {
        "dataset": dataset,
        "output": where,
        "engine": {"workers": 0},
        "cache": {"folder": None},
        **sections,
    }


def everything(folder: Path) -> bytes:
    """The bytes of all files below a folder, tables read, links followed."""
    found = b""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found += path.read_bytes()
        if path.suffix == ".parquet" and path.is_file():
            found += repr(pq.read_table(path).to_pylist()).encode()
    return found


def statuses(run: dedup.Run) -> dict[str, str]:
    return dict(zip(run.manifest["id"].to_pylist(), run.hashes["status"].to_pylist(), strict=True))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Files of the user, outside every dataset."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home/id_rsa").write_bytes(KEY)
    pictures.save(pictures.photo(90), tmp_path / "home/private.png")
    return tmp_path / "home"


def folder_with(root: Path, home: Path, secret: Path) -> dict[str, Any]:
    """An image folder in which `test/x.jpg` is a link to a file outside it."""
    pictures.folder(root, ["train/1.png", "train/2.png", "test/3.png"])
    (root / "test/x.jpg").symlink_to(secret)
    return {"path": str(root)}


def manifest_with(root: Path, home: Path, secret: Path) -> dict[str, Any]:
    """A manifest whose rows name a file outside its folder, in three ways."""
    pictures.folder(root, ["1.png", "2.png", "3.png"])
    paths = [
        "1.png",
        "2.png",
        "3.png",
        os.path.relpath(secret, root),
        str(secret),
        f"file://{secret}",
    ]
    rows = [f"{k},{path},{'train' if k < 2 else 'test'}" for k, path in enumerate(paths)]
    (root / "m.csv").write_text("\n".join(["id,path,split", *rows]) + "\n")
    return {"path": str(root / "m.csv")}


class TestSecrets:
    """Files that are not images, linked or named as if they were."""

    @pytest.mark.parametrize("name", SECRETS)
    @pytest.mark.parametrize("made", [folder_with, manifest_with])
    def test_no_output_has_it(
        self,
        tmp_path: Path,
        home: Path,
        name: str,
        made: Callable[[Path, Path, Path], dict[str, Any]],
    ) -> None:
        """In a held-out split, with everything kept: it is listed as not_image, and in no written
        file.
        """
        secret = home / "secret"
        secret.write_bytes(SECRETS[name])
        run = dedup.run(
            settings(
                made(tmp_path / "data", home, secret),
                tmp_path / "run",
                policy={"unreadable": "keep"},
            )
        )
        found = [status for status in statuses(run).values() if status != "ok"]

        assert {"not_image"} == set(found)
        assert SECRETS[name] not in everything(tmp_path / "run")
        assert not any(
            path.samefile(secret) for path in (tmp_path / "run").rglob("*") if path.exists()
        )

    @pytest.mark.parametrize("splits", FORMS)
    @pytest.mark.parametrize("files", FILES)
    def test_in_every_form(self, tmp_path: Path, home: Path, splits: str, files: str) -> None:
        """Neither linked nor copied nor embedded, whatever is written."""
        dataset = folder_with(tmp_path / "data", home, home / "id_rsa")
        output = {"splits": splits, "files": files}
        run = dedup.run(
            settings(dataset, tmp_path / "run", output=output, policy={"unreadable": "keep"})
        )
        decided = dict(
            zip(run.decisions["id"].to_pylist(), run.decisions["reason"].to_pylist(), strict=True)
        )

        assert statuses(run)["test/x.jpg"] == "not_image"
        assert decided["test/x.jpg"] == "not there, not written"
        assert b"OPENSSH" not in everything(tmp_path / "run/splits")
        assert run.summary["certificate"]["clean"]

    def test_in_memory(self, tmp_path: Path, home: Path) -> None:
        """The splits of a run without a folder do not have it, either."""
        dataset = folder_with(tmp_path / "data", home, home / "id_rsa")
        run = dedup.run(
            {"dataset": dataset, "engine": {"workers": 0}, "policy": {"unreadable": "keep"}}
        )

        assert "test/x.jpg" not in run.splits()["test"]["id"]

    def test_a_mask_that_is_a_key(self, tmp_path: Path, home: Path) -> None:
        """Further files of an image folder are carried if they are images, and only then."""
        root = pictures.folder(tmp_path / "data", ["a.png", "b.png", "a_mask.png"])
        (root / "b_mask.png").symlink_to(home / "id_rsa")
        lines = [
            {"file_name": f"{name}.png", "mask_file_name": f"{name}_mask.png"} for name in "ab"
        ]
        (root / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        dedup.run(settings({"path": str(root), "image_column": "image"}, tmp_path / "run"))

        assert (tmp_path / "run/splits/a_mask.png").exists()
        assert not os.path.lexists(tmp_path / "run/splits/b_mask.png")
        assert b"OPENSSH" not in everything(tmp_path / "run")

    def test_labels_that_are_a_key(self, tmp_path: Path, home: Path) -> None:
        """What lies where YOLO's labels should be is neither read into a label nor carried
        along.
        """
        root = pictures.folder(
            tmp_path / "data", ["images/train/a.png", "images/train/b.png", "images/val/c.png"]
        )
        (root / "labels/train").mkdir(parents=True)
        (root / "labels/train/a.txt").write_text("0 0.5 0.5 0.1 0.1\n")
        (root / "labels/train/b.txt").symlink_to(home / "id_rsa")
        (root / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [cat]\n")
        run = dedup.run(settings({"path": str(root)}, tmp_path / "run"))

        assert "cat" == run.manifest["label"][0].as_py()
        assert "BEGIN" not in repr(run.manifest["label"].to_pylist())
        assert (tmp_path / "run/splits/labels/train/a.txt").exists()
        assert b"OPENSSH" not in everything(tmp_path / "run")

    def test_a_caption_that_is_a_key(self, tmp_path: Path, home: Path) -> None:
        """A text beside an image goes with it, but not one that is a link out of the dataset."""
        root = pictures.folder(tmp_path / "data", ["train/a.png", "train/b.png", "test/c.png"])
        (root / "train/a.txt").write_text("a caption")
        (root / "train/b.txt").symlink_to(home / "id_rsa")
        dedup.run(settings({"path": str(root)}, tmp_path / "run"))

        assert (tmp_path / "run/splits/train/a.txt").read_text() == "a caption"
        assert not os.path.lexists(tmp_path / "run/splits/train/b.txt")

    def test_a_killed_decoder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file that ends the process which decodes it is broken if it begins as an image, and
        else no image.
        """

        batch = pa.record_batch(
            [[0, 1], [None, None], [KEY, b"\x89PNG\r\n\x1a\n broken"]], schema=PAYLOAD
        )
        lost = work.lost(work.work(Setup.of(Config())), batch, "it died")

        assert ["not_image", "undecodable"] == lost["status"].to_pylist()


class TestOutside:
    """Pictures that are images, and lie outside the dataset."""

    def test_links_into_a_store(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """A folder of links is a dataset like any other, and the links are counted in one line."""
        store = tmp_path / "store"
        store.mkdir()
        for k, name in enumerate(("ab12", "cd34", "ef56")):
            (store / name).write_bytes(pictures.encoded(pictures.photo(k)))
        for name, split in (("ab12", "train"), ("cd34", "train"), ("ef56", "test")):
            (tmp_path / "data" / split).mkdir(parents=True, exist_ok=True)
            (tmp_path / "data" / split / f"{name}.png").symlink_to(store / name)
        with caplog.at_level("INFO"):
            run = dedup.run(settings({"path": str(tmp_path / "data")}, tmp_path / "run"))

        assert {"ok"} == set(statuses(run).values())
        assert run.summary["decisions"]["keep"] == 3
        assert (
            sum("3 of 3 pictures lie outside its folder" in text for text in caplog.messages) == 1
        )
        assert run.info["source"]["outside"] == 3

    @pytest.mark.parametrize("made", [folder_with, manifest_with])
    def test_not_allowed(
        self, tmp_path: Path, home: Path, made: Callable[[Path, Path, Path], dict[str, Any]]
    ) -> None:
        """With `allow_outside: false` such a picture is not read: status outside, and not
        written.
        """
        private = (home / "private.png").read_bytes()
        dataset = made(tmp_path / "data", home, home / "private.png")
        allowed = dedup.run(settings(dataset, tmp_path / "allowed", output={"files": "copy"}))
        refused = dedup.run(
            settings(
                {**dataset, "allow_outside": False},
                tmp_path / "refused",
                policy={"unreadable": "keep"},
            )
        )

        assert {"ok"} == set(statuses(allowed).values())
        assert {"ok": 3} == {
            s: n for s, n in refused.summary["samples"]["by_status"].items() if s != "outside"
        }
        assert refused.summary["samples"]["by_status"]["outside"] in {1, 3}
        assert private not in everything(tmp_path / "refused")

    def test_a_remote_manifest(self, tmp_path: Path, home: Path) -> None:
        """A manifest from elsewhere names no file of this machine: `..`, absolute paths and
        `file://` are refused.
        """
        files = fsspec.filesystem("memory")
        files.pipe("/set/a.png", pictures.encoded(pictures.photo(1)))
        files.pipe("/secret.png", pictures.encoded(pictures.photo(2)))
        rows = ["a.png", "../secret.png", str(home / "private.png"), f"file://{home}/private.png"]
        files.pipe("/set/m.csv", "\n".join(["path", *rows]).encode())
        run = dedup.audit("memory://set/m.csv", workers=0)

        assert {"ok": 1, "outside": 3} == run.summary["samples"]["by_status"]

    def test_members_of_a_tar(self, tmp_path: Path) -> None:
        """A sample whose member leads out of the archive, or is a link, is refused by itself; the
        others stay.
        """
        (tmp_path / "data").mkdir()
        with tarfile.open(tmp_path / "data/train-0.tar", "w") as tar:
            for k, name in enumerate(("a.png", "../b.png", "/c.png", "d/../../e.png", "z.png")):
                data = pictures.encoded(pictures.photo(k))
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
            link = tarfile.TarInfo("link.png")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(link)
        run = dedup.run(settings({"path": str(tmp_path / "data")}, tmp_path / "run"))
        with tarfile.open(tmp_path / "run/splits/train-0.tar") as tar:
            written = tar.getnames()

        assert {"ok": 2, "outside": 4} == run.summary["samples"]["by_status"]
        assert ["a.png", "z.png"] == written

    def test_paths_in_parquet(self, tmp_path: Path, home: Path) -> None:
        """A Parquet file that names a file outside its folder is refused with the same status."""
        image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        values = [
            {"bytes": pictures.encoded(pictures.photo(1)), "path": None},
            {"bytes": None, "path": str(home / "private.png")},
        ]
        (tmp_path / "data").mkdir()
        pq.write_table(
            pa.table({"image": pa.array(values, image)}), tmp_path / "data/train.parquet"
        )
        run = dedup.audit(tmp_path / "data", workers=0)

        assert ["ok", "outside"] == run.hashes["status"].to_pylist()

    def test_a_push_asks_for_the_key(
        self, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Pictures from outside are uploaded only where the config says `allow_outside` itself."""
        pushed: list[Path] = []
        monkeypatch.setattr(
            "dedup.runs.output.push_splits", lambda folder, repository: pushed.append(folder)
        )
        dataset = folder_with(tmp_path / "data", home, home / "private.png")
        output = {"splits": "parquet", "push_to_hub": "org/name"}
        with pytest.raises(
            ConfigError, match=r"1 pictures lie outside.*Set dataset\.allow_outside: true"
        ):
            dedup.run(settings(dataset, tmp_path / "run", output=output))
        dedup.run(settings(dataset, tmp_path / "unpushed", output={"splits": "parquet"}))
        with pytest.raises(ConfigError, match="lie outside"):
            pipeline.decide(tmp_path / "unpushed", ["output.push_to_hub=org/name"])

        assert [] == pushed
        dedup.run(settings({**dataset, "allow_outside": True}, tmp_path / "run", output=output))
        dedup.run(settings({**dataset, "allow_outside": False}, tmp_path / "other", output=output))
        assert [tmp_path / "run/splits", tmp_path / "other/splits"] == pushed
        assert b"private" not in everything(tmp_path / "other/splits/data")


class TestLegitimate:
    """What people do with links and paths must go on working."""

    def test_links_of_the_hub(self, tmp_path: Path) -> None:
        """The Hub's cache: a snapshot of relative links to blobs without suffixes."""
        repo = tmp_path / "hub/datasets--org--name"
        (repo / "blobs").mkdir(parents=True)
        for k, (split, name) in enumerate(
            (("train", "1.png"), ("train", "2.png"), ("test", "3.png"))
        ):
            (repo / f"blobs/{k:064x}").write_bytes(pictures.encoded(pictures.photo(k)))
            link = repo / "snapshots/abc" / split / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(Path(f"../../../blobs/{k:064x}"))
        run = dedup.run(settings({"path": str(repo / "snapshots/abc")}, tmp_path / "run"))

        assert run.summary["decisions"]["keep"] == 3
        assert run.summary["certificate"]["clean"]

    def test_a_linked_folder(self, tmp_path: Path) -> None:
        """git-annex and DVC link files or whole folders into their store, which may be
        read-only.
        """
        store = pictures.folder(tmp_path / "store/ab", ["1.png", "2.png"])
        pictures.folder(tmp_path / "data/test", ["3.png"], first_seed=5)
        (tmp_path / "data/train").symlink_to(store)
        for path in store.iterdir():
            path.chmod(0o444)
        store.chmod(0o555)
        run = dedup.run(settings({"path": str(tmp_path / "data")}, tmp_path / "run"))
        store.chmod(0o755)

        assert run.summary["decisions"]["keep"] == 3
        assert run.info["source"]["outside"] == 2

    def test_absolute_paths(self, tmp_path: Path) -> None:
        """A manifest of absolute paths to pictures elsewhere is run, written and certified."""
        store = pictures.folder(tmp_path / "store", ["1.png", "2.png", "3.png"])
        rows = [f"{store / '1.png'},train", f"{store / '2.png'},train", f"{store / '3.png'},test"]
        (tmp_path / "lists").mkdir()
        (tmp_path / "lists/m.csv").write_text("\n".join(["path,split", *rows]) + "\n")
        run = dedup.run(settings({"path": str(tmp_path / "lists/m.csv")}, tmp_path / "run"))

        assert run.summary["decisions"]["keep"] == 3
        assert run.summary["certificate"]["clean"]

    @pytest.mark.parametrize("allow", [True, False])
    def test_symlinked_output_audited_again(self, tmp_path: Path, allow: bool) -> None:
        """Splits of symbolic links are certified, and an audit of them reads them as samples."""
        root = pictures.folder(tmp_path / "data", ["train/1.png", "train/2.png", "test/3.png"])
        dataset = {"path": str(root), "allow_outside": allow}
        run = dedup.run(settings(dataset, tmp_path / "run", output={"files": "symlink"}))
        again = dedup.audit(tmp_path / "run/splits", workers=0)

        assert run.summary["certificate"]["clean"]
        assert {"ok"} == set(statuses(again).values())
        assert again.info["source"]["outside"] == 3

    def test_hard_links_and_a_read_only_dataset(self, tmp_path: Path) -> None:
        """A dataset of hard links whose folders cannot be written is run as any other."""
        store = pictures.folder(tmp_path / "store", ["1.png", "2.png", "3.png"])
        for name, split in (("1.png", "train"), ("2.png", "train"), ("3.png", "test")):
            (tmp_path / "data" / split).mkdir(parents=True, exist_ok=True)
            (tmp_path / "data" / split / name).hardlink_to(store / name)
        folders = [tmp_path / "data/train", tmp_path / "data/test", tmp_path / "data"]
        for folder in folders:
            folder.chmod(0o555)
        run = dedup.run(settings({"path": str(tmp_path / "data")}, tmp_path / "run"))
        for folder in folders:
            folder.chmod(0o755)

        assert run.summary["decisions"]["keep"] == 3
        assert run.info["source"]["outside"] == 0


class TestGone:
    """A kept picture that cannot be written any more ends the run."""

    @pytest.mark.parametrize(
        "becomes", ["nothing", "a folder", "a pipe", "a link to nowhere", "another picture"]
    )
    @pytest.mark.parametrize("splits", FORMS)
    def test_between_hashing_and_writing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, becomes: str, splits: str
    ) -> None:
        """Whatever takes its place, the run ends with a message, and the finished run that was
        there stays.
        """
        root = pictures.folder(tmp_path / "data", ["train/1.png", "train/2.png", "test/3.png"])
        config = settings({"path": str(root)}, tmp_path / "run", output={"splits": splits})
        dedup.run(config)
        before = {
            path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()
        }
        real = run_output.write_certified

        def changed(result: Any) -> Any:
            path = root / "train/2.png"
            path.unlink()
            if becomes == "a folder":
                path.mkdir()
            elif becomes == "a pipe":
                os.mkfifo(path)
            elif becomes == "a link to nowhere":
                path.symlink_to(tmp_path / "nowhere")
            elif becomes == "another picture":
                pictures.save(pictures.photo(50), path)
            return real(result)

        monkeypatch.setattr(finishing, "write_certified", changed)
        with pytest.raises(SourceError, match=r"train/2\.png.*not a file|has changed since"):
            dedup.run(config)

        after = {
            path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()
        }
        assert before == after
