"""One small dataset in every form, made without the package, and what is stored in it."""

import csv
import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dedup.config import DatasetConfig
from dedup.decoding.pictures import Unreadable
from dedup.formats import Source, open_source, payloads, read_bytes
from tests import pictures

HOSTILE = [
    "com,ma",
    'quo"te',
    "new\nline",
    "fox🦊é",
    "<b>html</b>",
    "tab\tand\r\nmore",
    "' OR 1=1",
    "\\x00",
    "$(rm)",
]


@dataclass(frozen=True, slots=True)
class Row:
    """One sample."""

    name: str  # a file name without folder
    split: str
    label: str
    data: bytes


def rows() -> list[Row]:
    """Twelve pictures: one leaks into test, one is twice in train, one in test cannot be
    decoded.
    """
    made = [
        Row(
            f"a{seed}.png",
            "train",
            "cat" if seed % 2 else "dog",
            pictures.encoded(pictures.photo(seed)),
        )
        for seed in range(6)
    ]
    leak = pictures.encoded(pictures.photo(2), "JPEG", quality=70)
    copy = pictures.encoded(pictures.photo(4), "JPEG", quality=60)
    made.append(Row("copy.jpg", "train", "dog", copy))
    made.append(Row("b0.jpg", "test", "dog", leak))
    made += [
        Row(f"b{seed}.png", "test", "cat", pictures.encoded(pictures.photo(seed)))
        for seed in (11, 12)
    ]
    made.append(Row("broken.png", "test", "cat", b"\x89PNG\r\n\x1a\n no picture at all"))
    made.append(Row("c0.png", "validation", "cat", pictures.encoded(pictures.photo(21))))
    return sorted(made, key=lambda row: (row.split, row.label, row.name))


KEPT = {
    "a0.png",
    "a1.png",
    "a3.png",
    "a4.png",
    "a5.png",
    "b0.jpg",
    "b11.png",
    "b12.png",
    "broken.png",
    "c0.png",
}
"""Names of the rows that a run with default settings writes: a2 leaks, copy is a4 again and
worse.
"""


def imagefolder(root: Path, of: Sequence[Row]) -> dict[str, Any]:
    """`split/label/file`."""
    for row in of:
        path = root / row.split / row.label / row.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(row.data)
    return {"path": str(root)}


def metadata_folder(root: Path, of: Sequence[Row], suffix: str = "jsonl") -> dict[str, Any]:
    """`split/file` with metadata that has the label and a caption."""
    for split in sorted({row.split for row in of}):
        (root / split).mkdir(parents=True)
        inside = [row for row in of if row.split == split]
        for row in inside:
            (root / split / row.name).write_bytes(row.data)
        table(root / split / f"metadata.{suffix}", [
            {"file_name": row.name, "label": row.label, "caption": f"{row.name}, a {row.label}"}
            for row in inside
        ])  # fmt: skip
    return {"path": str(root)}


def manifest(root: Path, of: Sequence[Row], suffix: str = "csv") -> dict[str, Any]:
    """A table with files below it."""
    for row in of:
        path = root / "files" / row.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(row.data)
    records = [
        {"path": f"files/{r.name}", "split": r.split, "label": r.label, "more": f"of {r.name}"}
        for r in of
    ]
    return {"path": str(table(root / f"m.{suffix}", records))}


def saved(root: Path, of: Sequence[Row]) -> dict[str, Any]:
    """What `save_to_disk` writes."""
    dataset_dict(of).save_to_disk(str(root))
    return {"path": str(root), "id_column": "name"}


def parquet(root: Path, of: Sequence[Row]) -> dict[str, Any]:
    """Parquet shards as on the Hub, train in two."""
    (root / "data").mkdir(parents=True)
    for split, part in dataset_dict(of).items():
        n = 2 if split == "train" else 1
        for k in range(n):
            path = root / "data" / f"{split}-{k:05d}-of-{n:05d}.parquet"
            shard = part.shard(n, k, contiguous=True)
            pq.write_table(shard.with_format("arrow")[:], path, row_group_size=2)
    return {"path": str(root), "id_column": "name"}


def arrow(root: Path, of: Sequence[Row]) -> dict[str, Any]:
    """Arrow files in the streaming format, as `datasets` writes them."""
    root.mkdir(parents=True)
    for split, part in dataset_dict(of).items():
        whole = part.with_format("arrow")[:]
        with (
            pa.OSFile(str(root / f"{split}.arrow"), "wb") as sink,
            pa.ipc.new_stream(sink, whole.schema) as writer,
        ):
            writer.write_table(whole)
    return {"path": str(root), "id_column": "name"}


def webdataset(root: Path, of: Sequence[Row]) -> dict[str, Any]:
    """Tar shards, train in two."""
    root.mkdir(parents=True)
    for split in sorted({row.split for row in of}):
        inside = [row for row in of if row.split == split]
        for k in range(n := 2 if split == "train" else 1):
            members = []
            for row in inside[k * len(inside) // n : (k + 1) * len(inside) // n]:
                stem, _, suffix = row.name.rpartition(".")
                members += [
                    (f"{stem}.{suffix}", row.data),
                    (f"{stem}.txt", f"a caption of {stem}".encode()),
                    (f"{stem}.json", json.dumps({"label": row.label, "name": row.name}).encode()),
                ]
            tar(root / f"{split}-{k:06d}.tar", members)
    return {"path": str(root), "id_column": "name"}


MAKERS: Mapping[str, Callable[[Path, Sequence[Row]], dict[str, Any]]] = {
    "imagefolder": imagefolder,
    "metadata": metadata_folder,
    "manifest": manifest,
    "saved": saved,
    "parquet": parquet,
    "arrow": arrow,
    "webdataset": webdataset,
}
"""Every form, by name."""


def dataset_dict(of: Sequence[Row]) -> datasets.DatasetDict:
    """The rows in memory, with a column of each sort."""
    features = datasets.Features(
        {
            "note": datasets.Value("string"),
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=sorted({row.label for row in of})),
            "name": datasets.Value("string"),
            "box": datasets.Sequence(datasets.Value("float32")),
        }
    )
    made = {}
    for split in ("train", "test", "validation"):
        inside = [row for row in of if row.split == split]
        if inside:
            columns = {
                "note": [f"note, {row.name}" for row in inside],
                "image": [{"bytes": row.data, "path": row.name} for row in inside],
                "label": [row.label for row in inside],
                "name": [row.name for row in inside],
                "box": [[1.5, float(k)] for k in range(len(inside))],
            }
            made[split] = datasets.Dataset.from_dict(columns, features=features)
    return datasets.DatasetDict(made)


def table(path: Path, records: Sequence[Mapping[str, Any]]) -> Path:
    """Records as CSV, JSONL or Parquet, as the suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(records)), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(records[0]))
            writer.writeheader()
            writer.writerows(records)
    return path


def tar(path: Path, members: Sequence[tuple[str, bytes]]) -> Path:
    """A tar file of the members, in order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as out:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1_700_000_000
            out.addfile(info, io.BytesIO(data))
    return path


def opened(**settings: Any) -> Source:
    """The dataset, opened as the pipeline does."""
    return open_source(DatasetConfig.model_validate(settings))


def contents(source: Source, size: int = 5) -> list[bytes | None]:
    """The bytes that are read for each row; None where there are none."""
    found = []
    for batch in payloads(source, size):
        for path, data in zip(batch["path"].to_pylist(), batch["data"].to_pylist(), strict=True):
            read = read_bytes(path, data)
            found.append(None if isinstance(read, Unreadable) else read)
    return found


def described(source: Source) -> list[tuple[str, str | None, str | None, bytes | None]]:
    """Name, split, label and bytes of every row, in order; the name without folders, as forms
    differ in them.
    """
    columns = (source.rows[c].to_pylist() for c in ("id", "split", "label"))
    return [
        (name.rpartition("/")[2], split, label, data)
        for name, split, label, data in zip(*columns, contents(source), strict=True)
    ]


def everything(source: Source) -> "np.ndarray[Any, np.dtype[np.bool_]]":
    """Keep all."""
    return np.ones(len(source.rows), dtype=bool)
