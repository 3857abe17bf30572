"""Who stands for a crowd of look-alikes, where its members were not compared with each other."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Samples = NDArray[np.int64]


def leaders(crowds: pa.Table) -> Samples:
    """The leaders of crowds, ascending. All members were compared with them, so they are what is
    kept.
    """
    of_all = crowds["leader"].filter(pc.equal(crowds["role"], "leader"))
    return np.sort(of_all.to_numpy()).astype(np.int64)


def first_held_out(crowds: pa.Table, held_out: tuple[str, ...]) -> Samples:
    """Of each crowd and held-out split the sample that the others of that split were compared with,
    ascending.
    """
    inside = pc.is_in(crowds["split"], pa.array(held_out, pa.string()))
    accepted = pc.is_in(crowds["role"], pa.array(["leader", "member"]))
    rows = crowds.filter(pc.and_(inside, accepted))
    split = pc.index_in(rows["split"], pa.array(held_out, pa.string())).to_numpy()
    keys = np.stack([rows["crowd"].to_numpy(), split]) if len(rows) else np.zeros((2, 0), np.int64)
    _, first = np.unique(keys, axis=1, return_index=True)

    return np.sort(rows["sample"].to_numpy()[first]).astype(np.int64)


def in_front(order: Samples, first: Samples) -> Samples:
    """The order with some samples before all others.

    >>> in_front(np.array([4, 2, 0, 1]), np.array([0, 3])).tolist()
    [0, 4, 2, 1]
    """
    return order[np.argsort(~np.isin(order, first), kind="stable")]


def numbers_by_sample(crowds: pa.Table, n_samples: int) -> tuple[Samples, NDArray[np.object_]]:
    """The crowd and the role of each sample; -1 and None for samples in no crowd."""
    number, role = np.full(n_samples, -1, np.int64), np.full(n_samples, None, object)
    samples = crowds["sample"].to_numpy()
    number[samples] = crowds["crowd"].to_numpy()
    role[samples] = crowds["role"].to_numpy(zero_copy_only=False)

    return number, role
