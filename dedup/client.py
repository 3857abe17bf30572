"""A client of the service (`dedup serve`), on the standard library alone."""

import json
import time
import uuid
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote, urlencode, urlsplit

from dedup.bank import Answer, BankPolicy, BankSpec, MeasuredPicture, Submission
from dedup.bank.picture import measured
from dedup.errors import ConfigError, ServiceError

Picture = str | Path | bytes
"""A path, or the bytes of a file."""

_AGAIN: Final = frozenset({429, 502, 503, 504})  # the request was not carried out, or may be again


class Client:
    """One bank of a service.

    Requests that found no place, or whose connection broke, are sent again; a submission keeps its
    idempotency key, so that it is decided once. Not to be shared by threads.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        bank: str | None = None,
        timeout: float = 30.0,
        tries: int = 5,
    ) -> None:
        """`url`: of the service, `http://127.0.0.1:8321`. `bank`: needed where it has several."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            message = f"The address of a service is such as http://127.0.0.1:8321, not {url!r}."
            raise ConfigError(message)

        self._parts = parts
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._timeout = timeout
        self._tries = tries
        self._connection: HTTPConnection | None = None
        self._bank = bank
        self._spec: BankSpec | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def check(self, data: Picture | MeasuredPicture, *, policy: BankPolicy | None = None) -> Answer:
        """Which entries match. Measures in place of a picture: it stays where it is."""
        if isinstance(data, MeasuredPicture):
            body, kind = data.to_json(thumbnail=False).encode(), "application/json"
        else:
            body, kind = _content(data), "application/octet-stream"

        try:
            values = self._asked("POST", "checks", _query(policy), body, {"Content-Type": kind})
        except ServiceError as error:
            return _unreadable(error)

        return Answer.from_dict(values)

    def submit(
        self,
        data: Picture,
        id: str | None = None,  # noqa: A002  # the bank's word for it
        policy: BankPolicy | None = None,
        *,
        idempotency_key: str | None = None,
        label: str | None = None,
        uri: str | None = None,
        notification_url: str | None = None,
    ) -> Submission | Answer:
        """Check and decide; approved is an entry when this returns. An `Answer` where there is no
        picture.
        """
        named = {"id": id, "label": label, "uri": uri, "notification_url": notification_url}
        given = {name: value for name, value in named.items() if value is not None}
        headers = {
            "Content-Type": "application/octet-stream",
            "Idempotency-Key": idempotency_key or uuid.uuid4().hex,
        }

        try:
            values = self._asked(
                "POST", "submissions", {**_query(policy), **given}, _content(data), headers
            )
        except ServiceError as error:
            return _unreadable(error)

        return _submission(values)

    def submission(self, name: str) -> Submission:
        """One submission by its name."""
        return _submission(self._asked("GET", f"submissions/{quote(name, safe='')}"))

    def review(
        self, submission: str, decision: str, *, note: str | None = None, version: int | None = None
    ) -> Submission:
        """A person's word on a pending submission: "approve" or "reject"."""
        headers = {"Content-Type": "application/json"}
        if version is not None:
            headers["If-Match"] = f'"{version}"'

        body = json.dumps({"decision": decision, "note": note}).encode()
        path = f"submissions/{quote(submission, safe='')}/review"

        return _submission(self._asked("POST", path, {}, body, headers))

    def measure(self, data: Picture) -> MeasuredPicture:
        """Measure a picture here, for a check that does not send it."""
        if self._spec is None:
            self._spec = BankSpec.from_dict(self._asked("GET", "")["spec"])
        return measured([data], self._spec)[0]

    def _asked(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The answer's document. Raises `ServiceError` for a problem."""
        bank = f"{self._parts.path.rstrip('/')}/v1/banks/{quote(self._name(), safe='')}"
        address = f"{bank}/{path}".rstrip("/") + (f"?{urlencode(query)}" if query else "")
        return self._sent(method, address, body, headers or {})

    def _name(self) -> str:
        """The bank's name; asked for once where none was given."""
        if self._bank is None:
            path = f"{self._parts.path.rstrip('/')}/v1/banks"
            names = self._sent("GET", path, b"", {})["banks"]
            if len(names) != 1:
                message = f"The service has several banks: {', '.join(names)}. Name one: bank=…"
                raise ConfigError(message)
            (self._bank,) = names
        return str(self._bank)

    def _sent(self, method: str, address: str, body: bytes, headers: Mapping[str, str]) -> Any:
        for attempt in range(self._tries):
            is_last = attempt == self._tries - 1
            wait = 0.1 * 2**attempt
            try:
                status, answer, retry_after = self._once(method, address, body, headers)
            except (OSError, HTTPException) as error:
                self.close()
                if is_last:
                    message = f"{self._parts.geturl()} does not answer: {error or type(error)}."
                    raise ServiceError(message) from error
            else:
                if status < 400:
                    return json.loads(answer)
                if is_last or status not in _AGAIN:
                    raise _problem(status, answer)
                wait = max(wait, retry_after)
            time.sleep(wait)

        message = f"{self._parts.geturl()} was not asked: tries is {self._tries}."
        raise ServiceError(message)

    def _once(
        self, method: str, address: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, bytes, float]:
        """Status, body, and seconds to wait before the next try."""
        if self._connection is None:
            kind = HTTPSConnection if self._parts.scheme == "https" else HTTPConnection
            host = str(self._parts.hostname)
            self._connection = kind(host, self._parts.port, timeout=self._timeout)

        self._connection.request(method, address, body or None, {**self._headers, **headers})
        response = self._connection.getresponse()
        answer = response.read()
        wait = response.getheader("Retry-After") or ""

        return response.status, answer, float(wait) if wait.isdigit() else 0.0


def _query(policy: BankPolicy | None) -> dict[str, str]:
    if policy is None:
        return {}
    values = {name: value for name, value in policy.to_dict().items() if value is not None}
    return {name: str(value).lower() for name, value in values.items()}


def _content(data: Picture) -> bytes:
    return data if isinstance(data, bytes) else Path(data).read_bytes()


def _submission(values: Mapping[str, Any]) -> Submission:
    return Submission(**{**values, "answer": Answer.from_dict(values["answer"])})


def _problem(status: int, answer: bytes) -> ServiceError:
    try:
        values = json.loads(answer)
        text = f"{values['title']}: {values['detail']}"
    except (ValueError, KeyError, TypeError):
        values, text = {}, answer[:200].decode(errors="replace")
    return ServiceError(text, status, values)


def _unreadable(error: ServiceError) -> Answer:
    """A picture that cannot be read is an answer here as it is of a bank; others are errors."""
    if "picture_status" not in error.problem:
        raise error
    return Answer(status=error.problem["picture_status"], detail=error.problem["detail"])
