"""Layouts of datasets that people have, each made without the package. docs/datasets.md says what
is understood.
"""

import io
import json
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from tests import pictures

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@dataclass(slots=True)
class Made:
    """A dataset under construction; every picture differs from the others."""

    root: Path
    n_pictures: int = 0
    stored: dict[str, bytes] = field(default_factory=dict)

    def picture(self, form: str = "PNG") -> bytes:
        """The bytes of a new picture."""
        self.n_pictures += 1
        return pictures.encoded(pictures.photo(self.n_pictures, (32, 24)), form)

    def images(self, *names: str) -> None:
        """A picture under each name."""
        for name in names:
            self.file(
                name, self.picture("JPEG" if name.endswith(("jpg", "jpeg", "JPEG")) else "PNG")
            )

    def file(self, name: str, content: bytes | str = b"x") -> None:
        """Any file."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def tar(self, name: str, *members: str) -> None:
        """A tar file of pictures, and of JSON members where the name ends so."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, "w") as out:
            for member in members:
                data = b"{}" if member.endswith(".json") else self.picture()
                info = tarfile.TarInfo(member)
                info.size = len(data)
                out.addfile(info, io.BytesIO(data))

    def rows(self, name: str, n: int, column: str = "image", **more: list[object]) -> None:
        """A Parquet file with a column of images."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        values = [{"bytes": self.picture(), "path": None} for _ in range(n)]
        pq.write_table(pa.table({column: pa.array(values, IMAGE), **more}), path)

    def coco(self, path: str, *files: str, category: str | None = None) -> None:
        """A COCO file that lists images, all of one category if there is one."""
        content = {
            "images": [{"id": k, "file_name": file} for k, file in enumerate(files)],
            "categories": [{"id": 1, "name": category}] if category else [],
            "annotations": [
                {"id": k, "image_id": k, "category_id": 1} for k in range(len(files)) if category
            ],
        }
        self.file(path, json.dumps(content))


def caltech(of: Made) -> None:
    of.images("101_ObjectCategories/cat/image_0001.jpg", "101_ObjectCategories/dog/image_0001.jpg")


def imagenet(of: Made) -> None:
    of.images(
        "train/n01440764/a.JPEG",
        "train/n01443537/b.JPEG",
        "val/n01440764/c.JPEG",
        "val/n01443537/d.JPEG",
    )
    of.file("LOC_synset_mapping.txt", "n01440764 tench")


def kaggle_sets(of: Made) -> None:
    of.images(
        "dataset/training_set/cats/1.jpg",
        "dataset/training_set/dogs/1.jpg",
        "dataset/test_set/cats/2.jpg",
    )


def kaggle_intel(of: Made) -> None:
    of.images(
        "seg_train/seg_train/sea/1.jpg", "seg_test/seg_test/sea/2.jpg", "seg_pred/seg_pred/3.jpg"
    )


def kaggle_numbered(of: Made) -> None:
    of.images("train/cat.0.jpg", "train/dog.0.jpg", "test1/1.jpg")
    of.file("sampleSubmission.csv", "id,label\n1,0\n")


def kaggle_xray(of: Made) -> None:
    of.images(
        "chest_xray/train/NORMAL/1.jpeg",
        "chest_xray/val/NORMAL/2.jpeg",
        "chest_xray/test/NORMAL/3.jpeg",
    )
    of.images(
        "chest_xray/chest_xray/train/NORMAL/1.jpeg", "chest_xray/chest_xray/test/NORMAL/3.jpeg"
    )
    of.file("chest_xray/__MACOSX/._1.jpeg")


def kaggle_fruits(of: Made) -> None:
    of.images("Training/Apple/1.jpg", "Test/Apple/2.jpg", "test-multiple_fruits/3.jpg")


def kaggle_images_beside_csv(of: Made) -> None:
    of.images("train_images/a.png", "test_images/b.png")
    of.file("train.csv", "id_code,diagnosis\na,2\n")


def coco_folders(of: Made) -> None:
    of.images("train2017/a.jpg", "val2017/b.jpg")


def data_folder(of: Made) -> None:
    of.images("data/train/cat/1.png", "data/test/cat/2.png")


def images_first(of: Made) -> None:
    of.images("images/train/1.png", "images/val/2.png")
    of.file("labels/train/1.txt", "0 .5 .5 .1 .1")


def split_images(of: Made) -> None:
    of.images("train/images/1.png", "valid/images/2.png")


def mvtec(of: Made) -> None:
    of.images(
        "bottle/train/good/000.png", "bottle/test/good/000.png", "bottle/test/broken_large/000.png"
    )
    of.images("cable/train/good/000.png", "cable/test/cut/000.png")
    of.file("bottle/license.txt")


def class_first(of: Made) -> None:
    of.images("cat/train/1.png", "cat/test/2.png", "dog/train/1.png", "dog/test/2.png")


def cyclegan(of: Made) -> None:
    of.images("trainA/1.jpg", "trainB/1.jpg", "testA/2.jpg", "testB/2.jpg")


def div2k(of: Made) -> None:
    of.images("DIV2K_train_HR/0001.png", "DIV2K_valid_HR/0801.png")


def reid(of: Made) -> None:
    of.images(
        "bounding_box_train/0002_c1.jpg", "bounding_box_test/0003_c1.jpg", "query/0003_c2.jpg"
    )


def nnunet(of: Made) -> None:
    of.images("imagesTr/case_001_0000.png", "imagesTs/case_002_0000.png")
    of.file("dataset.json", '{"channel_names": {"0": "x"}}')


def medical(of: Made) -> None:
    of.images(
        "Training/glioma/1.png",
        "Testing/glioma/2.png",
        "Training/meningioma/3.png",
        "Testing/meningioma/4.png",
    )


def folds(of: Made) -> None:
    of.images(*(f"fold_{k}/cat/{k}.png" for k in range(3)))


def parts_of_train(of: Made) -> None:
    of.images("train_1/1.png", "train_2/2.png", "test/3.png")


def kinds_of_train(of: Made) -> None:
    of.images("train_labeled/1.png", "train_unlabeled/2.png", "test/3.png")


def classes_called_train_and_test(of: Made) -> None:
    of.images("boat/1.png", "bus/1.png", "car/1.png", "test/1.png", "train/1.png")


def one_archive(of: Made) -> None:
    of.tar("all.tar", "all/train/cat/1.png", "all/train/dog/2.png", "all/val/cat/3.png")


def archive_without_suffixes(of: Made) -> None:
    of.tar("train.tar", "a1b2", "c3d4")
    of.tar("test.tar", "e5f6")


def a_class_called_train(of: Made) -> None:
    of.images("airplane/1.png", "bus/1.png", "train/1.png")


def held_out(of: Made) -> None:
    of.images("train/cat/1.png", "train/dog/2.png", "holdout/cat/3.png", "holdout/dog/4.png")


def lora(of: Made) -> None:
    of.images("10_sks dog/a.png", "10_sks dog/b.png", "1_dog/c.png")


def without_suffix(of: Made) -> None:
    of.file("train/0a1b2c", of.picture())
    of.file("train/0a1b2d.0", of.picture())
    of.file("test/ffe0", of.picture("JPEG"))
    of.file("test/readme", "these are downloads")


def folder_with_metadata(of: Made) -> None:
    of.images("train/1.png", "test/2.png")
    of.file("train/metadata.csv", "file_name,label\n1.png,cat\n")
    of.file("test/metadata.csv", "file_name,label\n2.png,dog\n")


def folder_beside_its_archive(of: Made) -> None:
    of.images("train/cat/1.png", "test/cat/2.png")
    of.tar("cats.tar", "train/cat/1.png", "test/cat/2.png")


def folder_beside_embeddings(of: Made) -> None:
    of.images("train/cat/1.png", "test/cat/2.png")
    pq.write_table(pa.table({"id": [1], "embedding": [[0.1, 0.2]]}), of.root / "embeddings.parquet")


def several_archives(of: Made) -> None:
    of.tar("train.tar", "1.png", "2.png")
    of.tar("val.tar", "3.png")
    of.file("checksums.md5")


def webdataset(of: Made) -> None:
    of.tar("shards/train-000000.tar", "a.png", "a.json", "b.png", "b.json")
    of.tar("shards/test-000000.tar", "c.png", "c.json")


def img2dataset_shards(of: Made) -> None:
    of.tar("00000.tar", "000000000.png", "000000000.json", "000000001.png", "000000001.json")
    pq.write_table(
        pa.table({"key": ["000000000"], "status": ["success"]}), of.root / "00000.parquet"
    )
    of.file("00000_stats.json", "{}")


def img2dataset_files(of: Made) -> None:
    of.images("00000/000000000.jpg", "00001/000010000.jpg")
    for shard in ("00000", "00001"):
        pq.write_table(
            pa.table({"key": ["x"], "status": ["success"]}), of.root / f"{shard}.parquet"
        )
        of.file(f"{shard}_stats.json", "{}")


def img2dataset_parquet(of: Made) -> None:
    pq.write_table(
        pa.table({"key": ["0", "1"], "jpg": [of.picture("JPEG"), of.picture("JPEG")]}),
        of.root / "0.parquet",
    )
    of.file("0_stats.json", "{}")


def yolo_named(of: Made) -> None:
    of.images("images/train2017/1.jpg", "images/train2017/2.jpg", "images/val2017/3.jpg")
    of.file("labels/train2017/1.txt", "0 .5 .5 .1 .1")
    of.file(
        "coco128.yaml",
        "path: ../coco128\ntrain: images/train2017\nval: images/val2017\nnames: {0: cat}\n",
    )
    of.file("README.txt")


def roboflow_yolo(of: Made) -> None:
    of.images("train/images/1.jpg", "valid/images/2.jpg")
    of.file("train/labels/1.txt", "0 .5 .5 .1 .1")
    of.file("data.yaml", "train: ../train/images\nval: ../valid/images\nnc: 1\nnames: [cat]\n")
    of.file("README.roboflow.txt")


def darknet(of: Made) -> None:
    of.images("obj/1.jpg", "obj/2.jpg", "obj/3.jpg")
    of.file("obj/1.txt", "0 .5 .5 .1 .1")
    of.file("obj.names", "cat\ndog\n")
    of.file("train.txt", "data/obj/1.jpg\ndata/obj/2.jpg\n")
    of.file("test.txt", "data/obj/3.jpg\n")
    of.file(
        "obj.data",
        "classes = 2\ntrain = data/train.txt\nvalid = data/test.txt\nnames = data/obj.names\nbackup"
        " = x/\n",
    )


def voc(of: Made) -> None:
    kit = "VOCdevkit/VOC2012"
    of.images(*(f"{kit}/JPEGImages/{k}.jpg" for k in range(1, 5)))
    for k in (1, 2, 3):
        inside = "<object><name>cat</name><part><name>head</name></part></object>"
        xml = f"<annotation>{inside}</annotation>"
        of.file(f"{kit}/Annotations/{k}.xml", xml)
    of.file(f"{kit}/ImageSets/Main/train.txt", "1\n2\n")
    of.file(f"{kit}/ImageSets/Main/val.txt", "3\n")
    of.file(f"{kit}/ImageSets/Main/trainval.txt", "1\n2\n3\n")
    of.file(f"{kit}/ImageSets/Main/cat_train.txt", "1  1\n2 -1\n")


def coco(of: Made) -> None:
    of.images("train2017/1.jpg", "val2017/2.jpg", "unlabeled2017/3.jpg")
    of.coco("annotations/instances_train2017.json", "1.jpg", category="cat")
    of.coco("annotations/instances_val2017.json", "2.jpg", category="cat")


def coco_urls(of: Made) -> None:
    of.images("train2017/1.jpg", "val2017/2.jpg")
    for split, k in (("train", 1), ("val", 2)):
        name = f"http://images.cocodataset.org/{split}2017/{k}.jpg"
        of.coco(f"annotations/instances_{split}2017.json", name, category="cat")


def tables_of_splits(of: Made) -> None:
    of.images("images/a.png", "images/b.png", "images/c.png")
    of.file("train.csv", "id,label\na,cat\nb,dog\n")
    of.file("test.csv", "id\nc\n")


def table_with_splits(of: Made) -> None:
    of.images("images/a.png", "images/b.png")
    of.file("labels.csv", "image,label,split\na.png,cat,train\nb.png,dog,test\n")


def davis(of: Made) -> None:
    for name in ("bear", "dog"):
        of.images(f"JPEGImages/480p/{name}/00000.jpg", f"Annotations/480p/{name}/00000.png")
    of.file("ImageSets/480p/train.txt", "/JPEGImages/480p/bear/00000.jpg /Annotations/x.png\n")
    of.file("ImageSets/480p/val.txt", "/JPEGImages/480p/dog/00000.jpg /Annotations/y.png\n")


def lists_of_videos(of: Made) -> None:
    of.images("frames/v_Run_g01/0.jpg", "frames/v_Run_g01/1.jpg", "frames/v_Jump_g02/0.jpg")
    of.file("trainlist01.txt", "Run/v_Run_g01.avi 1\n")
    of.file("testlist01.txt", "Jump/v_Jump_g02.avi\n")


def coco_beside(of: Made) -> None:
    of.images("train/1.jpg", "test/2.jpg")
    of.coco("train/labels.json", "1.jpg", category="cat")
    of.coco("test/labels.json", "2.jpg", category="cat")


def hub_shards(of: Made) -> None:
    of.rows("data/train-00000-of-00002.parquet", 2)
    of.rows("data/train-00001-of-00002.parquet", 2)
    of.rows("data/test-00000-of-00001.parquet", 1)
    of.file("README.md", "# A dataset")


def hub_with_previews(of: Made) -> None:
    of.rows("data/train-00000-of-00001.parquet", 30)
    of.images("assets/1.png", "assets/2.png")


def saved(of: Made) -> None:
    rows = {"image": [{"bytes": of.picture(), "path": None} for _ in range(3)]}
    features = datasets.Features({"image": datasets.Image()})
    whole = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict({"train": whole.select([0, 1]), "test": whole.select([2])}).save_to_disk(
        str(of.root)
    )


def split_in_rows(of: Made) -> None:
    of.rows("all.parquet", 4, split=["train", "train", "val", "test"])


LAYOUTS: Mapping[str, Callable[[Made], None]] = {
    "labels below one folder (Caltech-101)": caltech,
    "split/label (ImageNet)": imagenet,
    "training_set and test_set (Kaggle)": kaggle_sets,
    "seg_train/seg_train (Kaggle, Intel scenes)": kaggle_intel,
    "train and test1 (Kaggle, Dogs vs. Cats)": kaggle_numbered,
    "unpacked twice (Kaggle, chest X-rays)": kaggle_xray,
    "Training, Test and more (Kaggle, Fruits-360)": kaggle_fruits,
    "train_images beside train.csv (Kaggle)": kaggle_images_beside_csv,
    "train2017 and val2017, no JSON": coco_folders,
    "data/split": data_folder,
    "images/split and labels/split, no YAML": images_first,
    "split/images": split_images,
    "category/split/defect (MVTec)": mvtec,
    "label/split": class_first,
    "trainA, trainB, testA, testB (CycleGAN)": cyclegan,
    "DIV2K_train_HR and DIV2K_valid_HR": div2k,
    "bounding_box_train, query (person re-identification)": reid,
    "imagesTr and imagesTs (nnU-Net)": nnunet,
    "Training and Testing (medical)": medical,
    "a class called train": a_class_called_train,
    "classes called train and test": classes_called_train_and_test,
    "fold_0, fold_1, … (cross-validation)": folds,
    "train_1, train_2 and test": parts_of_train,
    "train_labeled, train_unlabeled and test": kinds_of_train,
    "train beside a folder with the same labels": held_out,
    "repeats_name (LoRA)": lora,
    "images without a suffix": without_suffix,
    "split/metadata.csv": folder_with_metadata,
    "a folder beside its archive": folder_beside_its_archive,
    "a folder beside embeddings.parquet": folder_beside_embeddings,
    "several archives": several_archives,
    "one archive of all splits": one_archive,
    "archives of images without a suffix": archive_without_suffixes,
    "tar shards (WebDataset)": webdataset,
    "img2dataset, webdataset": img2dataset_shards,
    "img2dataset, files": img2dataset_files,
    "img2dataset, parquet": img2dataset_parquet,
    "a YAML of any name (Ultralytics)": yolo_named,
    "data.yaml with ../ (Roboflow)": roboflow_yolo,
    "obj.data (Darknet)": darknet,
    "ImageSets/Main (Pascal VOC)": voc,
    "annotations/instances_split.json (COCO)": coco,
    "COCO whose file_name is a URL": coco_urls,
    "a COCO file in each split": coco_beside,
    "ImageSets/480p (DAVIS)": davis,
    "trainlist01.txt of videos (UCF101)": lists_of_videos,
    "train.csv and test.csv beside images": tables_of_splits,
    "one table with a column split": table_with_splits,
    "data/split-00000-of-0000N.parquet (Hub)": hub_shards,
    "shards beside pictures of the card (Hub)": hub_with_previews,
    "save_to_disk (datasets)": saved,
    "a split column in the rows (datasets)": split_in_rows,
}
"""Each layout by the name that it has in the table of docs/datasets.md."""
