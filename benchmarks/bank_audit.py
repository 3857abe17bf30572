"""The audit of hashed pictures against a portable bank, in a process of its own: `…
FILE.bank.parquet PICTURES`.

Prints seconds, peak memory in GB, and candidates.
"""

import resource
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from dedup.config import DatasetConfig, build, resolve
from dedup.formats.banks import Bank
from dedup.hashers.setup import Setup
from dedup.stages.candidates import candidates
from dedup.verify.kept_signs import by_signs


def made(n: int, setup: Setup) -> pa.Table:
    """The table `hashes` of n pictures with random codes and thumbnails."""
    rng = np.random.default_rng(0)

    def binary(width: int) -> pa.Array:
        return pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(width), n, [None, pa.py_buffer(rng.bytes(width * n))]
        )

    known = {
        "sample": pa.array(np.arange(n)),
        "status": pa.repeat("ok", n),
        "width": pa.repeat(640, n),
        "height": pa.repeat(480, n),
        "information": pa.repeat(50.0, n),
        "pixel_digest": binary(32),
        "thumbnail": binary(1024),
        **{name: binary(8) for name in setup.algorithms},
    }
    columns = [
        known[f.name].cast(f.type) if f.name in known else pa.nulls(n, f.type)
        for f in setup.schema()
    ]
    return pa.table(columns, schema=setup.schema()).append_column(
        "signs", pa.nulls(n, pa.binary(68))
    )


def main() -> None:
    path, n = Path(sys.argv[1]), int(sys.argv[2])
    config = build({})
    setup = Setup.of(config)
    mine = made(n, setup)
    begin = time.perf_counter()
    bank = Bank(path, DatasetConfig()).hashes(setup)
    numbered = bank.set_column(0, bank.schema.field(0), pa.array(np.arange(n, n + len(bank))))
    resolved = resolve(config, []).but(max_distance={"dhash": 10, "phash": 10})
    hashes = pa.concat_tables([mine, numbered])
    found = sum(
        map(len, by_signs(candidates(hashes, resolved, limit=10**8, threads=2), hashes, "pixels"))
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{time.perf_counter() - begin:.1f} {peak:.2f} {found}")


if __name__ == "__main__":
    main()
