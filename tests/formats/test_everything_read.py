"""Nothing is left behind without a word: every file below the root is part of the dataset or listed
as not read.
"""

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import event, given, settings
from hypothesis import strategies as st

from dedup.config import DatasetConfig
from dedup.errors import ConfigError, SourceError
from dedup.formats import open_source
from tests.formats.layouts import Made

FOLDERS = [
    "train",
    "test",
    "val",
    "seg_train",
    "cat",
    "images",
    "labels",
    "annotations",
    ".git",
    "JPEGImages",
    "data",
    "masks",
    "train_masks",
    "fold_0",
    "fold_1",
    "train_a",
    "1",
]
FILES = [
    *(
        "1.png",
        "2.jpg",
        "image_0003.PNG",
        "1_mask.png",
        "train.txt",
        "test.txt",
        "noise",
        "picture",
        "picture.0",
        "1.txt",
        "1.xml",
        "2.json",
        "notes.md",
    ),
    *(
        "a.tar",
        "broken.tar",
        "rows.parquet",
        "embeddings.parquet",
        "x.csv",
        "data.yaml",
        "all.coco.json",
        ".hidden",
    ),
    *("archive.zip", "model.pt", "Thumbs.db", "é.png"),
    *("train.csv", "test.csv", "labels.csv", "metadata.csv", "train.json", "A.TAR", "1.npy"),
]

TABLES = {
    "train.csv": "file,label\n1.png,cat\n",
    "test.csv": "file\n2.jpg\n",
    "labels.csv": "image,split\n1.png,train\n2.jpg,test\n",
    "metadata.csv": "file_name,label\n1.png,cat\n",
    "train.json": '[{"image": "1.png", "caption": "a"}]',
}

paths = st.builds(
    lambda folders, name: "/".join([*folders, name]),
    st.lists(st.sampled_from(FOLDERS), max_size=3),
    st.sampled_from(FILES),
)


def make(made: Made, path: str) -> None:
    """A file whose content fits its name."""
    name = path.rpartition("/")[2]
    if name in {"a.tar", "A.TAR"}:
        made.tar(path, "train/m1.png", "test/m2", "m3.png")
    elif name in TABLES:
        made.file(path, TABLES[name])
    elif name == "rows.parquet":
        made.rows(path, 2)
    elif name.startswith("picture") or name.lower().endswith((".png", ".jpg")):
        made.file(path, made.picture())
    elif name == "all.coco.json":
        made.coco(path, "1.png", category="cat")
    elif name in {"train.txt", "test.txt"}:
        made.file(path, f"{'1.png' if name == 'train.txt' else '2.jpg'}\n")
    elif name == "data.yaml":
        made.file(path, "train: images\nnames: [cat]\n")
    else:
        made.file(path, "some text")


def files_below(root: Path) -> set[str]:
    """All files, as paths below the root."""
    found = set()
    for folder, _, names in os.walk(root):
        found |= {(Path(folder) / name).relative_to(root).as_posix() for name in names}
    return found


@settings(max_examples=150, deadline=None)
@given(st.lists(paths, min_size=1, max_size=14, unique=True))
def test_every_file_is_accounted_for(names: list[str]) -> None:
    """In a random mixed folder samples with their companions, metadata and what is listed add up to
    what is there.
    """
    with TemporaryDirectory() as folder:
        root = Path(folder) / "set"
        root.mkdir()
        made = Made(root)
        for name in names:
            make(made, name)
        try:
            source = open_source(DatasetConfig(path=str(root)))
        except (ConfigError, SourceError):
            event("refused")
            return

        event(source.form)
        below = files_below(root)
        own = {path.relative_to(root).as_posix() for path in source.own_files()} & below
        listed = set(source.not_read["path"].to_pylist())
        hidden = {
            name
            for name in below
            if any(name == path or name.startswith(path + "/") for path in listed)
        }
        samples = {uri for uri in source.rows["uri"].to_pylist() if uri in below}

        stems = {Path(name).stem for name in samples}
        companions = {name for name in below - own - hidden if Path(name).stem in stems}

        assert below == own | hidden | companions
        assert set() == own & hidden
        assert not companions or source.form in {"imagefolder", "coco", "yolo", "voc"}
        assert samples <= own
        assert sum(source.skipped.values()) == len(listed)
        if source.form == "imagefolder":
            pictures = {
                name
                for name in below - hidden
                if name.lower().endswith((".png", ".jpg", "picture", ".0"))
            }
            # Masks are read with their images, which are the samples.
            assert samples <= pictures <= own


def test_what_lies_in_other_forms_is_listed(tmp_path: Path) -> None:
    """Each form lists what it leaves, whatever it is: the property above may draw few of them."""
    makers: dict[str, Callable[[Made], None]] = {
        "webdataset": lambda of: of.tar("train-000.tar", "1.png"),
        "huggingface": lambda of: of.rows("train.parquet", 2),
        "coco": lambda of: of.coco("annotations/train.json", "1.png", category="cat"),
        "yolo": lambda of: of.file("data.yaml", "train: images\nnames: [a]"),
    }
    for form, make_form in makers.items():
        made = Made(tmp_path / form)
        if form in {"coco", "yolo"}:
            made.images("images/1.png")
        made.file("x.csv")
        make_form(made)
        source = open_source(DatasetConfig(path=str(made.root)))

        assert (form, ["x.csv"]) == (source.form, source.not_read["path"].to_pylist())
