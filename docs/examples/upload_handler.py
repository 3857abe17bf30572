"""A web application that takes a picture only if nothing like it is there.

    dedup serve shop.bank &
    uvicorn upload_handler:app

The service decides, in the upload's own request. It fails closed: without an answer nothing is
kept.
"""

import os
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool

import dedup

SERVICE = os.environ.get("DEDUP_URL", "http://127.0.0.1:8321")
KEY = os.environ.get("DEDUP_KEY")
STORE = Path(os.environ.get("STORE", "uploads"))

app = FastAPI()


def decided(data: bytes, name: str, attempt: str) -> Any:
    """What the service says. `attempt` is the client's: sent again, it is not decided again."""
    with dedup.Client(SERVICE, KEY) as client:
        return client.submit(data, name, idempotency_key=attempt)


@app.put("/uploads/{name}")
async def upload(name: str, request: Request) -> dict[str, Any]:
    """Store a picture that is new; refuse one that is there already."""
    data = await request.body()
    attempt = request.headers.get("Idempotency-Key", name)
    try:
        said = await run_in_threadpool(decided, data, name, attempt)
    except dedup.ServiceError as error:
        raise HTTPException(503, "Uploads cannot be checked now. Try again.") from error

    if said.verdict is None:
        raise HTTPException(422, f"This is no picture: {said.detail}")
    if said.verdict == "rejected":
        raise HTTPException(409, f"This is {said.answer.matches[0].id} already.")
    if said.verdict == "pending":
        return {"stored": False, "waits_for": said.name}
    STORE.mkdir(exist_ok=True)
    (STORE / said.name).write_bytes(data)
    return {"stored": True}
