"""What goes over a worker's pipes: frames of eight bytes length and the payload; batches as Arrow
IPC streams.
"""

import struct
from typing import IO, Final

import pyarrow as pa

DONE: Final = b"\x00"
FAILED: Final = b"\x01"
NO_MEMORY: Final = b"\x02"

TASK: Final = b"\x00"
"""Before the name of a work and its setup, which are for the batches that follow."""

BATCH: Final = b"\x01"
_LENGTH: Final = struct.Struct("<Q")


def send(pipe: IO[bytes] | None, payload: bytes) -> None:
    """Write one frame."""
    if pipe is None:
        raise BrokenPipeError

    pipe.write(_LENGTH.pack(len(payload)))
    pipe.write(payload)
    pipe.flush()


def receive(pipe: IO[bytes] | None) -> bytes:
    """Read one frame; raises EOFError when the other side is gone."""
    head = pipe.read(_LENGTH.size) if pipe is not None else b""
    if pipe is None or len(head) < _LENGTH.size:
        raise EOFError

    (length,) = _LENGTH.unpack(head)
    payload = pipe.read(length)
    if len(payload) < length:
        raise EOFError

    return payload


def batch_bytes(batch: pa.RecordBatch) -> bytes:
    """One record batch with its schema."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def bytes_batch(payload: bytes) -> pa.RecordBatch:
    """The record batch that `batch_bytes` packed."""
    with pa.ipc.open_stream(payload) as reader:
        return reader.read_next_batch()
