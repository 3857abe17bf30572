"""Bytes of pictures to their measures. Work for an engine: this module is named to it."""

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import pyarrow as pa

from dedup.bank.picture import MeasuredPicture, of_table
from dedup.decoding.pictures import file_digest
from dedup.hashers.drift import setup_of
from dedup.hashers.measure import measure
from dedup.hashers.work import status_of_lost
from dedup.tables.entries import BankSpec

WORK: Final = "dedup.service.measuring"

TASKS: Final = pa.schema([("data", pa.large_binary()), ("spec", pa.string())])
"""A picture's file, and the spec of the bank that asks, as JSON."""

RESULTS: Final = pa.schema([("measures", pa.string())])
"""`MeasuredPicture.to_json`."""


def task(data: bytes, spec: BankSpec) -> pa.RecordBatch:
    """One picture to be measured for a bank."""
    columns = [pa.array([data], pa.large_binary()), pa.array([json.dumps(spec.to_dict())])]
    return pa.record_batch(columns, schema=TASKS)


def start(setup: Mapping[str, Any]) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """A function from TASKS to RESULTS; there is nothing to set up."""
    return lambda batch: _results(
        [_measured(row["data"], _spec_of(row["spec"])) for row in batch.to_pylist()]
    )


def lost(setup: Mapping[str, Any], batch: pa.RecordBatch, reason: str) -> pa.RecordBatch:
    """The pictures of a batch whose worker died on it: digested, not decoded again."""
    return _results(
        [
            MeasuredPicture(
                status=status_of_lost(row["data"], reason),
                detail=reason,
                file_digest=file_digest(row["data"]),
            )
            for row in batch.to_pylist()
        ]
    )


def _measured(data: bytes, spec: BankSpec) -> MeasuredPicture:
    return of_table(pa.table(measure([data], setup_of(spec))), spec)[0]


def _results(pictures: list[MeasuredPicture]) -> pa.RecordBatch:
    texts = pa.array([picture.to_json() for picture in pictures], pa.string())
    return pa.record_batch([texts], schema=RESULTS)


@lru_cache(maxsize=64)
def _spec_of(text: str) -> BankSpec:
    return BankSpec.from_dict(json.loads(text))
