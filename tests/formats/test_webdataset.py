"""WebDataset shards: read in order without unpacking, written byte for byte, hostile or damaged
ones refused.
"""

import io
import json
import logging
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest

import dedup
from dedup.errors import ConfigError, SourceError
from dedup.formats import open_source, write_splits
from tests import pictures
from tests.formats import made

PNG = pictures.encoded(pictures.photo(1, (24, 18)))


def members(path: Path) -> list[tuple[str, bytes, float]]:
    """Name, content and time of every member, read without the package."""
    found = []
    with tarfile.open(path) as tar:
        for info in tar:
            file = tar.extractfile(info)
            found.append((info.name, file.read() if file else b"", float(info.mtime)))
    return found


def refusal(path: Path, **settings: Any) -> str:
    """What is said when the dataset is opened."""
    with pytest.raises((SourceError, ConfigError)) as caught:
        made.opened(path=str(path), **settings)
    return str(caught.value)


def test_members_are_written_as_they_were(tmp_path: Path) -> None:
    """Kept samples keep keys, members, order, times and long names, whatever lies beside the
    image.
    """
    long = "k" * 150 + "/" + "n" * 120
    shard = [
        ("a.jpg", PNG), ("a.cls", b"3"), ("a.seg.npy", b"\x93NUMPY"),
        ("dir/b.png", PNG), ("dir/b.json", b'{"x": "\xc3\xa9"}'),
        (f"{long}.webp", PNG), (f"{long}.txt", "fox🦊".encode()),
        ("fox🦊.png", PNG), ("fox🦊.txt", b""),
    ]  # fmt: skip
    made.tar(tmp_path / "in/train-0.tar", shard)
    source = made.opened(path=str(tmp_path / "in"))
    write_splits(source, np.array([True, False, True, True]), tmp_path / "out", "same", "hardlink")
    before = members(tmp_path / "in/train-0.tar")

    assert ["train-0/a", "train-0/dir/b", f"train-0/{long}", "train-0/fox🦊"] == source.rows[
        "id"
    ].to_pylist()
    assert [m for m in before if not m[0].startswith("dir/")] == members(
        tmp_path / "out/train-0.tar"
    )


def test_nothing_dropped_is_the_same_members(tmp_path: Path) -> None:
    """With nothing dropped every shard has the members it had."""
    dataset = made.webdataset(tmp_path / "in", made.rows())
    source = made.opened(**dataset)
    write_splits(source, made.everything(source), tmp_path / "out", "same", "hardlink")
    shards = sorted(p.name for p in (tmp_path / "in").iterdir())

    assert shards == sorted(p.name for p in (tmp_path / "out").iterdir())
    for name in shards:
        assert members(tmp_path / "in" / name) == members(tmp_path / "out" / name)


def test_an_emptied_shard_stays(tmp_path: Path) -> None:
    """A shard of which nothing is kept is an empty tar, so that numbered lists of shards still fit;
    it can be read.
    """
    made.tar(tmp_path / "in/train-0.tar", [("a.png", PNG)])
    made.tar(tmp_path / "in/train-1.tar", [("b.png", PNG)])
    source = made.opened(path=str(tmp_path / "in"))
    written = write_splits(source, np.array([False, True]), tmp_path / "out", "same", "hardlink")

    assert [] == members(tmp_path / "out/train-0.tar")
    assert ["train-1/b"] == made.opened(path=written.config.path).rows["id"].to_pylist()


def test_labels(tmp_path: Path) -> None:
    """Labels come from the JSON, from `cls`, or from what `label_column` names."""
    shard = [
        ("a.png", PNG),
        ("a.cls", b"7\n"),
        ("b.png", PNG),
        ("b.json", b'{"label": "cat", "kind": 5}'),
        ("b.cls", b"1"),
    ]
    made.tar(tmp_path / "s.tar", [*shard, ("c.png", PNG)])

    def labels(**settings: Any) -> list[str | None]:
        return list(made.opened(path=str(tmp_path / "s.tar"), **settings).rows["label"].to_pylist())

    assert ["7", "cat", None] == labels()
    assert ["7", "1", None] == labels(label_column="cls")
    assert [None, "5", None] == labels(label_column="kind")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["train-000.tar", "test-000.tar"], ["test", "train"]),
        (["train/0.tar", "val/0.tar"], ["train", "validation"]),
        (
            ["imagenet-train-00000-of-00002.tar", "imagenet-train-00001-of-00002.tar"],
            ["train", "train"],
        ),
        (["000.tar", "001.tar"], [None, None]),
        (["fold1-000.tar", "fold2-000.tar"], [None, None]),
        (["test-000.tar", "validation-000.tar"], ["test", "validation"]),
        (["test-000.tar", "cats-000.tar"], [None, None]),
        (["train-000.tar", "extra-000.tar"], ["extra", "train"]),
    ],
)
def test_splits(tmp_path: Path, names: list[str], expected: list[str | None]) -> None:
    """Splits come from top folders or names of shards, by the rule of image folders: one is train,
    or all are usual.
    """
    for name in names:
        made.tar(tmp_path / name, [("a.png", PNG)])

    assert expected == made.opened(path=str(tmp_path)).rows["split"].to_pylist()


def test_several_images(tmp_path: Path) -> None:
    """Of several images in a sample one must be named; the others go with it."""
    made.tar(
        tmp_path / "in/s.tar",
        [("a.left.png", PNG), ("a.right.png", PNG + b"2"), ("b.right.png", PNG)],
    )
    said = refusal(tmp_path / "in")
    source = made.opened(path=str(tmp_path / "in"), image_column="left.png")
    write_splits(source, np.array([True, False]), tmp_path / "out", "same", "hardlink")

    assert "'left.png', 'right.png'" in said
    assert "dataset.image_column" in said
    assert [PNG, None] == made.contents(source)
    assert ["a.left.png", "a.right.png"] == [name for name, _, _ in members(tmp_path / "out/s.tar")]


def test_hostile_texts(tmp_path: Path) -> None:
    """Labels, ids and splits of any text go through shards and back."""
    rows = [
        made.Row(f"{k}{text}.png", text or "s", text, PNG) for k, text in enumerate(made.HOSTILE)
    ]
    source = made.opened(
        **made.manifest(
            tmp_path / "in",
            [made.Row(f"{k}.png", r.split, r.label, PNG) for k, r in enumerate(rows)],
        )
    )
    for form in ("webdataset", "imagefolder", "manifest"):
        again = open_source(
            write_splits(source, made.everything(source), tmp_path / form, form, "copy").config
        )
        for column in ("id", "split", "label"):
            assert sorted(source.rows[column].to_pylist()) == sorted(
                again.rows[column].to_pylist()
            ), form


def test_load_dataset_reads_what_was_crossed(tmp_path: Path) -> None:
    """Shards made from another form load with `datasets`, which wants all images of one type."""
    rows = [row for row in made.rows() if row.name.endswith("png") and row.name != "broken.png"]
    source = made.opened(**made.imagefolder(tmp_path / "in", rows))
    write_splits(source, made.everything(source), tmp_path / "out", "webdataset", "copy")
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))

    for split in ("train", "test", "validation"):
        expected = sorted(
            f"{row.split}/{row.label}/{row.name}" for row in rows if row.split == split
        )
        assert expected == sorted(row["id"] for row in loaded[split]["json"])


def hostile(kind: str) -> Callable[[tarfile.TarFile], None]:
    """A function that adds one hostile member."""

    def add(tar: tarfile.TarFile) -> None:
        info = tarfile.TarInfo("b.png")
        if kind in {"/etc/passwd.png", "../out.png", "x/../../out.png", "C:/x.png", "..\\out.png"}:
            info.name, info.size = kind, len(PNG)
            tar.addfile(info, io.BytesIO(PNG))
            return
        info.type = {
            "symlink": tarfile.SYMTYPE,
            "link": tarfile.LNKTYPE,
            "device": tarfile.CHRTYPE,
            "pipe": tarfile.FIFOTYPE,
        }[kind]
        info.linkname = "/etc/passwd"
        tar.addfile(info)

    return add


@pytest.mark.parametrize(
    "kind",
    [
        "/etc/passwd.png",
        "../out.png",
        "x/../../out.png",
        "C:/x.png",
        "..\\out.png",
        "symlink",
        "link",
    ],
)
def test_what_leads_out_of_a_tar(tmp_path: Path, kind: str) -> None:
    """A sample whose name is absolute, has `..` in it or is a link is refused by itself, and the
    others are read.
    """
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        info = tarfile.TarInfo("a.png")
        info.size = len(PNG)
        tar.addfile(info, io.BytesIO(PNG))
        hostile(kind)(tar)
    run = dedup.audit(tmp_path / "s.tar", workers=0)

    assert {"ok": 1, "outside": 1} == run.summary["samples"]["by_status"]


@pytest.mark.parametrize("kind", ["device", "pipe"])
def test_hostile_tars_are_refused(tmp_path: Path, kind: str) -> None:
    """Devices and pipes are refused, naming the shard and the member."""
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        info = tarfile.TarInfo("a.png")
        info.size = len(PNG)
        tar.addfile(info, io.BytesIO(PNG))
        hostile(kind)(tar)
    said = refusal(tmp_path / "s.tar")

    assert "s.tar" in said
    assert repr(kind if "." in kind else "b.png") in said
    assert "do not trust this one" in said


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A header with any size, also one that no writer makes, and a right checksum."""
    info = tarfile.TarInfo(name)
    info.type = kind
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = (
        size.to_bytes(12, "big", signed=True) if size < 0 else b"\x80" + size.to_bytes(11, "big")
    )
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


SIZE = b"14 size=-1024\n".ljust(512, b"\0")


@pytest.mark.parametrize(
    "shard",
    [
        header("a.png", -512),
        header("a.png", 1 << 60),
        header("p", -512, tarfile.XHDTYPE) + bytes(512) + header("a.png", 0),
        header("p", 1 << 60, tarfile.XHDTYPE) + bytes(512) + header("a.png", 0),
        header("l", -512, tarfile.GNUTYPE_LONGNAME) + bytes(512) + header("a.png", 0),
        header("l", 1 << 60, tarfile.GNUTYPE_LONGNAME) + bytes(512) + header("a.png", 0),
        header("p", 14, tarfile.XHDTYPE) + SIZE + header("no sample", 0),
        header("a.png", 512, tarfile.GNUTYPE_SPARSE) + bytes(512),
    ],
    ids=[
        "negative",
        "huge",
        "pax negative",
        "pax huge",
        "long negative",
        "long huge",
        "back for ever",
        "sparse",
    ],
)
def test_absurd_sizes_are_refused(tmp_path: Path, shard: bytes) -> None:
    """Headers that claim what cannot be end in a message that names the shard: no crash, no endless
    loop.
    """
    (tmp_path / "s.tar").write_bytes(shard + bytes(1024))

    assert "s.tar: " in refusal(tmp_path / "s.tar")


@pytest.mark.parametrize(
    "cut", [10, 700, 512 + len(PNG) // 2, 512 + -(-len(PNG) // 512) * 512 + 100]
)
def test_truncated_tars_are_refused(tmp_path: Path, cut: int) -> None:
    """A shard that is cut short is refused by name, wherever it is cut."""
    data = made.tar(tmp_path / "s.tar", [("a.png", PNG), ("b.png", PNG)]).read_bytes()
    (tmp_path / "s.tar").write_bytes(data[:cut])
    said = refusal(tmp_path / "s.tar")

    assert "s.tar" in said
    assert "again" in said


def test_a_tar_without_an_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A shard that ends behind a member but without a mark is read, with a warning."""
    data = made.tar(tmp_path / "s.tar", [("a.png", PNG)]).read_bytes()
    (tmp_path / "s.tar").write_bytes(data[: 512 + -(-len(PNG) // 512) * 512])
    with caplog.at_level(logging.WARNING, "dedup"):
        source = made.opened(path=str(tmp_path / "s.tar"))

    assert [PNG] == made.contents(source)
    assert "no end mark" in caplog.text


def test_a_damaged_header(tmp_path: Path) -> None:
    """A broken header in the middle is no end of the shard."""
    path = made.tar(tmp_path / "s.tar", [("a.png", PNG), ("b.png", PNG)])
    data = bytearray(path.read_bytes())
    second = 512 + -(-len(PNG) // 512) * 512
    data[second + 148 : second + 156] = b"99999999"
    path.write_bytes(data)

    assert f"the header at byte {second:,} is damaged" in refusal(path)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("s.tar", b"", "cannot be read as a tar file"),
        ("s.tar", b"this is no tar file" * 100, "cannot be read as a tar file"),
        ("s.tar", b"\x1f\x8b" + bytes(600), "uncompress it first"),
    ],
)
def test_what_is_no_tar(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    """Other files are refused with what they are."""
    (tmp_path / name).write_bytes(content)

    assert expected in refusal(tmp_path / name, source="webdataset")


def test_bad_members(tmp_path: Path) -> None:
    """No image at all, a member twice and a missing shard are named."""
    made.tar(tmp_path / "1/s.tar", [("a.txt", b"x")])
    made.tar(tmp_path / "2/s.tar", [("a.png", PNG), ("a.png", PNG)])
    made.tar(tmp_path / "4/train-00000-of-00003.tar", [("a.png", PNG)])
    made.tar(tmp_path / "4/train-00002-of-00003.tar", [("b.png", PNG)])
    (tmp_path / "5").mkdir()

    assert "no member of the 1 samples" in refusal(tmp_path / "1")
    assert "two members 'png'" in refusal(tmp_path / "2")
    assert "train-00001-of-00003.tar: this shard is missing" in refusal(tmp_path / "4")
    assert "no .tar files" in refusal(tmp_path / "5", source="webdataset")


@pytest.mark.parametrize(
    "settings", [{}, {"id_column": "name"}, {"split_column": "split", "label_column": "label"}]
)
def test_broken_json_costs_its_own_sample_what_it_says(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    """One member that is not JSON, cut short or nested too deep, is told of; all samples are
    there.
    """
    said = json.dumps({"label": "x", "name": "n", "split": "train"}).encode()
    deep = b"[" * 100_000
    members = [
        ("a.png", PNG),
        ("a.json", b"{"),
        ("b.png", PNG),
        ("b.json", said),
        ("c.png", PNG),
        ("c.json", deep),
    ]
    source = made.opened(path=str(made.tar(tmp_path / "s.tar", members)), **settings)

    assert [PNG, PNG, PNG] == made.contents(source)
    assert [None, "x", None] == source.rows["label"].to_pylist()
    assert ["2 JSON members are not valid JSON"] == [
        doubt.partition(":")[0] for doubt in source.doubts
    ]


def test_a_sample_without_an_image(tmp_path: Path) -> None:
    """A sample whose image is missing is a row with a status, and the rest goes on."""
    made.tar(tmp_path / "s.tar", [("a.png", PNG), ("b.json", json.dumps({"label": "x"}).encode())])

    assert [PNG, None] == made.contents(made.opened(path=str(tmp_path / "s.tar")))
