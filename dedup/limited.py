"""Pictures that are decoded outside a run, for `compare`, `hash_images` and checks of a bank.

Those whose headers show that they cost little are decoded in this process, since starting another
one costs more. All others are decoded in workers with the limits that a run has by default: a small
file may hold a picture that takes a minute and gigabytes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from dedup.config.sections import EngineConfig
from dedup.decoding.contents import PAYLOAD, read_bytes
from dedup.decoding.effort import is_light
from dedup.decoding.pictures import Unreadable
from dedup.engines import InlineEngine, Limits, ProcessEngine
from dedup.hashers import work
from dedup.hashers.measure import measure
from dedup.hashers.setup import Setup
from dedup.memory import usable_cores

Content = bytes | Unreadable

Stored = tuple[bytes | None, bytes | None]
"""A file's path, or its bytes."""

_OF_CONFIG: Final = EngineConfig()
LIMITS: Final = Limits(
    _OF_CONFIG.timeout, _OF_CONFIG.memory, setting="a picture that is decoded outside a run"
)

_AT_ONCE: Final = 16  # pictures of a task: some are large


def costs_little(content: Content) -> bool:
    """Whether it may be decoded in this process: there is nothing to decode, or little."""
    return isinstance(content, Unreadable) or is_light(content)


def results(
    work_name: str, setup: Mapping[str, Any], batches: Sequence[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Results of work on batches of PAYLOAD, one each: in this process where all of their pictures
    cost little, else in workers with limits.
    """
    if all(map(costs_little, _contents(batches))):
        return InlineEngine().run(work_name, setup, batches)

    workers = min(usable_cores(), len(batches))

    return ProcessEngine(workers, LIMITS).run(work_name, setup, batches)


def _contents(batches: Sequence[pa.RecordBatch]) -> Iterator[Content]:
    for batch in batches:
        yield from map(read_bytes, batch["path"].to_pylist(), batch["data"].to_pylist())


def measured(contents: Sequence[Content], setup: Setup) -> pa.Table:
    """Rows of `hashes` without `sample`, one for each content, in their order."""
    light = [k for k, content in enumerate(contents) if costs_little(content)]
    heavy = sorted({*range(len(contents))} - {*light})
    here = pa.table(measure([contents[k] for k in light], setup))
    if not heavy:
        return here

    stored = ((None, content) for k in heavy if isinstance(content := contents[k], bytes))
    parts = pa.Table.from_batches(measured_apart(stored, setup))
    there = pa.table({name: parts[name] for name in here.column_names})  # as those made here
    place = {k: at for at, k in enumerate([*light, *heavy])}

    return pa.concat_tables([here, there]).take(pa.array([place[k] for k in range(len(contents))]))


def measured_apart(stored: Iterable[Stored], setup: Setup) -> Iterator[pa.RecordBatch]:
    """The same of files, all measured in workers, in parts that hold some columns more."""
    engine = ProcessEngine(usable_cores(), LIMITS)
    yield from engine.run(work.WORK, work.work(setup), _tasks(stored))


def task(stored: Sequence[Stored]) -> pa.RecordBatch:
    """Files as a batch of PAYLOAD."""
    paths, data = zip(*stored, strict=True)
    rows = pa.array(range(len(stored)), pa.int64())
    columns = [rows, pa.array(paths, pa.binary()), pa.array(data, pa.large_binary())]

    return pa.record_batch(columns, schema=PAYLOAD)


def _tasks(stored: Iterable[Stored]) -> Iterator[pa.RecordBatch]:
    part: list[Stored] = []
    for one in stored:
        part.append(one)
        if len(part) == _AT_ONCE:
            yield task(part)
            part = []

    if part:
        yield task(part)
