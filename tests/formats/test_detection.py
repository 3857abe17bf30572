"""What a folder is: everything in it is counted, the form that explains the images wins, and rivals
are named.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dedup.config import DatasetConfig
from dedup.errors import ConfigError
from dedup.formats import FORMS, open_source
from dedup.formats.first_bytes import image_suffix
from tests import pictures
from tests.formats.layouts import Made


def loose(of: Made) -> None:
    of.images(*(f"train/{k}.png" for k in range(3)), *(f"test/{k}.png" for k in range(3, 6)))


def tar_of_others(of: Made) -> None:
    loose(of)
    of.tar("more.tar", *(f"other{k}.png" for k in range(6)))


def rows_of_others(of: Made) -> None:
    loose(of)
    of.rows("train.parquet", 6)


def tar_and_rows(of: Made) -> None:
    of.tar("train.tar", *(f"{k}.png" for k in range(6)))
    of.rows("train.parquet", 6)


def two_annotations(of: Made) -> None:
    of.images("images/1.png", "images/2.png")
    of.coco("annotations/all.json", "1.png", "2.png", category="cat")
    of.file("data.yaml", "train: images\nnames: [cat]\n")


def some_are_listed(of: Made) -> None:
    of.images(*(f"images/{k}.png" for k in range(10)))
    of.coco("few.json", *(f"{k}.png" for k in range(3)), category="cat")


@pytest.mark.parametrize(
    ("make", "forms"),
    [
        (tar_of_others, ("imagefolder", "webdataset")),
        (rows_of_others, ("huggingface", "imagefolder")),
        (tar_and_rows, ("huggingface", "webdataset")),
        (two_annotations, ("coco", "yolo")),
        (some_are_listed, ("coco", "imagefolder")),
    ],
)
def test_rivals_are_named(
    tmp_path: Path, make: Callable[[Made], None], forms: tuple[str, str]
) -> None:
    """Where two forms compete, both are named with the setting, and with it each is opened."""
    made = Made(tmp_path / "set")
    make(made)
    with pytest.raises(ConfigError) as caught:
        open_source(DatasetConfig(path=str(made.root)))

    for form in forms:
        assert f"dataset.source: {form}" in str(caught.value)
        assert (
            form
            == open_source(
                DatasetConfig.model_validate({"path": str(made.root), "source": form})
            ).form
        )


def previews(of: Made) -> None:
    of.tar("train.tar", *(f"{k}.png" for k in range(40)))
    of.images("preview.png", "logo.png")


def one_listed(of: Made) -> None:
    of.images(*(f"images/{k}.png" for k in range(30)))
    of.coco("example.coco.json", "images/1.png", category="cat")


def renamed_archive(of: Made) -> None:
    of.images(*(f"cats/{k}.png" for k in range(4)))
    of.tar("backup.tar", *(f"somewhere/else/{k}.PNG" for k in range(4)))


def broken_tar(of: Made) -> None:
    loose(of)
    of.file("part.tar", b"no tar at all")


def broken_rows(of: Made) -> None:
    of.images(*(f"train/{k}.png" for k in range(20)))
    of.file("cut.parquet", b"PAR1")


def json_of_another_kind(of: Made) -> None:
    loose(of)
    of.file("annotations/all.json", '{"images": "none", "file_name": 1}')


def label_files(of: Made) -> None:
    of.images("1.png", "2.png")
    for k in (1, 2):
        of.file(f"{k}.json", '{"shapes": [], "imagePath": "1.png", "images": []}')


@pytest.mark.parametrize(
    ("make", "form", "left"),
    [
        (previews, "webdataset", ["logo.png", "preview.png"]),
        (one_listed, "imagefolder", ["example.coco.json"]),
        (renamed_archive, "imagefolder", ["backup.tar"]),
        (broken_tar, "imagefolder", ["part.tar"]),
        (broken_rows, "imagefolder", ["cut.parquet"]),
        (json_of_another_kind, "imagefolder", ["annotations/all.json"]),
    ],
)
def test_by_products_do_not_decide(
    tmp_path: Path, make: Callable[[Made], None], form: str, left: list[str]
) -> None:
    """A few files of another form are not the dataset: they are listed as not read."""
    made = Made(tmp_path / "set")
    make(made)
    source = open_source(DatasetConfig(path=str(made.root)))

    assert (form, left) == (source.form, source.not_read["path"].to_pylist())


def test_json_of_single_images_is_no_coco(tmp_path: Path) -> None:
    """JSON files with the names of images say something of these, whatever keys are in them."""
    made = Made(tmp_path / "set")
    label_files(made)

    assert "imagefolder" == open_source(DatasetConfig(path=str(made.root))).form


def test_archives_alone(tmp_path: Path) -> None:
    """A folder with nothing but compressed archives says that they are not unpacked, and names
    them.
    """
    Made(tmp_path).file("photos.zip")
    with pytest.raises(Exception, match=r"archives, which are not unpacked: 'photos.zip'"):
        open_source(DatasetConfig(path=str(tmp_path)))


def test_a_column_of_bytes_that_is_no_image(tmp_path: Path) -> None:
    """Embeddings as bytes beside pictures are no images: the column's name says nothing of the
    kind.
    """
    made = Made(tmp_path / "set")
    loose(made)
    pq.write_table(
        pa.table({"id": list(range(9)), "vector": [b"x"] * 9}), made.root / "vectors.parquet"
    )

    assert "imagefolder" == open_source(DatasetConfig(path=str(made.root))).form


@pytest.mark.parametrize(
    "form", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF", "DDS", "QOI"]
)
def test_images_are_recognised_by_their_first_bytes(tmp_path: Path, form: str) -> None:
    """A file without a suffix, or with one that says nothing, is the image that its bytes are."""
    try:
        data = pictures.encoded(pictures.photo(1, (16, 16)), form)
    except (OSError, KeyError):
        pytest.skip(f"Pillow cannot write {form} here")
    for name in ("train/0a1b", "train/x.1", "test/y.download"):
        Made(tmp_path).file(name, data)
    source = open_source(DatasetConfig(path=str(tmp_path)))

    assert ["test/y.download", "train/0a1b", "train/x.1"] == sorted(source.rows["id"].to_pylist())


@pytest.mark.parametrize(
    "data",
    [b"", b"BM", b"BMW and other cars", b"P5", b"PK\3\4", b"\x7fELF", b"<svg", b"II", b"text"],
)
def test_other_bytes_are_no_image(data: bytes) -> None:
    """Texts, programs and archives are not taken for images, nor is what is too short to tell."""
    assert image_suffix(data) is None


def test_a_pipe_without_a_suffix_is_not_opened(tmp_path: Path) -> None:
    """Recognising by content never waits for a writer."""
    import os

    Made(tmp_path).images("train/1.png")
    os.mkfifo(tmp_path / "train/pipe")

    assert ["train/1.png"] == open_source(DatasetConfig(path=str(tmp_path))).rows["id"].to_pylist()


def test_the_table_of_forms() -> None:
    """Every form has a name of its own, a way to open it and keys that exist."""
    known = {*DatasetConfig.model_fields}

    assert all(name == form.name and {*form.takes} <= known for name, form in FORMS.items())
    assert {*FORMS} == {
        "imagefolder",
        "manifest",
        "huggingface",
        "webdataset",
        "coco",
        "yolo",
        "voc",
        "bank",
    }


def test_a_broken_parquet_file_beside_images(tmp_path: Path) -> None:
    """It may hold anything: it is named as not read, and competes with nothing."""
    made = Made(tmp_path)
    made.images("train/1.png", "test/2.png")
    made.file("train/embeddings.parquet", b"not Parquet")
    source = open_source(DatasetConfig(path=str(tmp_path)))

    assert "imagefolder" == source.form
    assert ["train/embeddings.parquet"] == source.not_read["path"].to_pylist()


@pytest.mark.parametrize("name", ["1.data", "1.tmp", "1.raw", "1.dat", "1.jpg_large", "1"])
def test_images_whose_suffix_says_little(tmp_path: Path, name: str) -> None:
    """Their first bytes say what they are."""
    made = Made(tmp_path)
    made.images("train/2.png")
    made.file(f"train/{name}", made.picture("JPEG"))

    assert f"train/{name}" in open_source(DatasetConfig(path=str(tmp_path))).rows["id"].to_pylist()


@pytest.mark.parametrize("root", ["/content/sets/cats", "C:\\\\sets\\\\cats"])
def test_a_yaml_written_on_another_machine(tmp_path: Path, root: str) -> None:
    """The longest end of a path that is there counts."""
    made = Made(tmp_path)
    made.images("images/train/1.jpg", "images/val/2.jpg")
    slash = "\\\\" if "\\" in root else "/"
    places = [slash.join((root, "images", split)) for split in ("train", "val")]
    made.file("data.yaml", f'train: "{places[0]}"\nval: "{places[1]}"\nnames: [cat]\n')
    source = open_source(DatasetConfig(path=str(tmp_path)))

    assert ["train", "validation"] == source.rows["split"].to_pylist()


@pytest.mark.parametrize("column", ["image", "img_path", "image_name"])
def test_lists_with_other_names_of_paths(
    tmp_path: Path, column: str, caplog: pytest.LogCaptureFixture
) -> None:
    """They are read, and told of where their folder is named, in a folder below as well."""
    made = Made(tmp_path)
    made.images("train/1.png", "train/2.png")
    lines = [json.dumps({column: f"{k}.png", "caption": "a"}) + "\n" for k in (1, 2)]
    made.file("train/captions.jsonl", "".join(lines))
    open_source(DatasetConfig(path=str(tmp_path)))
    listed = open_source(DatasetConfig(path=str(tmp_path / "train/captions.jsonl")))

    assert "captions.jsonl' lists pictures" in caplog.text
    assert ["1.png", "2.png"] == listed.rows["uri"].to_pylist()
