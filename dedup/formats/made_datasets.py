"""Datasets of the Hub made of samples of another form."""

from collections.abc import Sequence
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from datasets import Dataset, DatasetDict, Features, Image
from numpy.typing import NDArray


def files_as_dataset_dict(
    rows: pa.Table, images: Sequence[Any], keep: NDArray[np.bool_]
) -> DatasetDict:
    """Rows of another form as datasets with the columns image, label and id."""
    features = Features(
        {"image": Image(), "label": datasets.Value("string"), "id": datasets.Value("string")}
    )
    split_of = [split or "train" for split in rows["split"].to_pylist()]
    ids, labels = rows["id"].to_pylist(), rows["label"].to_pylist()
    made = {}

    for split in sorted(set(split_of)):
        kept = [row for row in np.flatnonzero(keep) if split_of[row] == split]
        columns = {
            "image": [images[int(row)] for row in kept],
            "label": [labels[row] for row in kept],
            "id": [ids[row] for row in kept],
        }
        made[split] = Dataset.from_dict(columns, features=features)

    return DatasetDict(made)
