"""The settings of a service, from a YAML file and options: frozen, every problem named at once."""

import difflib
import ipaddress
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Self
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from dedup.bank import BankPolicy
from dedup.config import read_yaml
from dedup.errors import ConfigError
from dedup.policy.doubts import MAX_FALSE_PROBABILITY, REVIEW_FALSE_PROBABILITY

DEFAULT_PORT: Final = 8321

BACK_OFF: Final = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)
"""Seconds until the next try of a webhook: the schedule of Standard Webhooks 1.0, three days."""

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ServerSettings(_Section):
    """Where the service listens."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = DEFAULT_PORT
    workers: Count = 1  # processes that answer
    names: Annotated[tuple[str, ...], Field(strict=False)] = ()  # of hosts, where there is no key


class LimitSettings(_Section):
    """What one process of the service takes; beyond it requests are refused, not queued."""

    body_bytes: Count = 20_000_000  # of one request, counted while it streams
    body_seconds: Seconds = 30.0  # for the whole body
    least_bytes_per_second: Count = 1_000  # after five seconds: slower bodies are given up
    pictures: Count = 64  # measured, checked or waiting for it
    buffered_bytes: Count = 256_000_000  # of all bodies together
    connections: Count = 2_000
    requests_per_second: Annotated[float, Field(gt=0)] | None = None  # of one key
    decoders: Count | None = None  # processes that decode; None: one per core, shared by workers
    decode_seconds: Seconds = 10.0  # for one picture
    decode_bytes: Count = 1_000_000_000  # of memory for one picture


class PolicySettings(_Section):
    """The policy of requests that name none; see `BankPolicy`."""

    reject: Share | None = None
    review: Share | None = None
    max_false_probability: Share = MAX_FALSE_PROBABILITY
    review_false_probability: Share = REVIEW_FALSE_PROBABILITY
    always_review: bool = False
    fixed: bool = False  # requests may not name another one

    def policy(self) -> BankPolicy:
        """As a bank takes it."""
        return BankPolicy(**self.model_dump(exclude={"fixed"}))


class ReviewSettings(_Section):
    """What the review page can show."""

    keep_pictures: bool = True  # of pending submissions, in BANK/pending, until they are decided
    pictures: Path | None = Field(default=None, strict=False)  # folder of the entries' files


class Target(_Section):
    """One receiver of webhooks."""

    url: str
    secret: str  # whsec_ and base 64
    old_secret: str | None = None  # signs as well, while receivers change over

    @field_validator("url")
    @classmethod
    def _is_web_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            message = f"{value!r} is not an address such as https://example.org/hook"
            raise ValueError(message)

        return value

    @field_validator("secret", "old_secret")
    @classmethod
    def _is_secret(cls, value: str | None) -> str | None:
        if value is not None and not _key_of(value):
            message = "a secret is whsec_ and at least 24 bytes in base 64"
            raise ValueError(message)
        return value

    def keys(self) -> list[bytes]:
        """What signs, the new one first."""
        return [_key_of(secret) for secret in (self.secret, self.old_secret) if secret]


class WebhookSettings(_Section):
    """Who is told of outcomes."""

    targets: Annotated[tuple[Target, ...], Field(strict=False)] = ()
    hosts: Annotated[tuple[str, ...], Field(strict=False)] = ()  # for `notification_url`
    hosts_secret: str | None = None  # signs what goes there
    allow_private: Annotated[tuple[str, ...], Field(strict=False)] = ()  # networks of targets
    timeout: Seconds = 15.0
    back_off: Annotated[tuple[Seconds, ...], Field(strict=False, min_length=1)] = BACK_OFF

    @field_validator("hosts_secret")
    @classmethod
    def _is_secret(cls, value: str | None) -> str | None:
        if value is not None and not _key_of(value):
            message = "a secret is whsec_ and at least 24 bytes in base 64"
            raise ValueError(message)
        return value

    @field_validator("allow_private")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ipaddress.ip_network(network)
        return value


class ServiceSettings(_Section):
    """All of them."""

    server: ServerSettings = ServerSettings()
    limits: LimitSettings = LimitSettings()
    policy: PolicySettings = PolicySettings()
    review: ReviewSettings = ReviewSettings()
    webhooks: WebhookSettings = WebhookSettings()

    @classmethod
    def read(cls, path: Path | None, options: Mapping[str, Any]) -> Self:
        """A file's settings, and options by dotted key in front of them.

        Raises `ConfigError` with every problem at once.
        """
        nested = {} if path is None else _placed(_of_file(path), path.parent)
        for key, value in options.items():
            section, _, name = key.partition(".")
            nested[section] = {**(nested.get(section) or {}), name: value}

        where = "options" if path is None else str(path)
        try:
            made = cls.model_validate(nested)
            made.policy.policy()
        except ValidationError as error:
            raise ConfigError(*(f"{where}: {_problem(of)}" for of in error.errors())) from error

        return made


def _of_file(path: Path) -> dict[str, Any]:
    try:
        settings = read_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path}: cannot be read: {error}."
        raise ConfigError(message) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        message = f"{path}: not valid YAML: {' '.join(str(error).split())}."
        raise ConfigError(message) from error

    if settings is None:
        return {}

    if not isinstance(settings, dict) or not all(isinstance(key, str) for key in settings):
        message = f"{path}: expected sections such as 'server:' at the top."
        raise ConfigError(message)

    return settings


def _placed(nested: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Settings whose paths are relative to the file's folder."""
    review = nested.get("review")
    if isinstance(review, dict) and isinstance(review.get("pictures"), str):
        return {**nested, "review": {**review, "pictures": folder / review["pictures"]}}
    return nested


def _problem(detail: Any) -> str:
    """One problem that pydantic found, as `dotted.key: what is wrong`."""
    key = ".".join(map(str, detail["loc"]))
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, _keys(), n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else f" Known: {', '.join(_keys())}."
        return f"{key}: unknown key.{hint}"

    if detail["type"] == "value_error":
        return f"{key}: {detail['ctx']['error']}."

    # A secret that is wrong is not repeated: this goes to a terminal or a log.
    got = "" if "secret" in key else f"got {detail['input']!r}; "
    text = detail["msg"]

    return f"{key}: {got}{text[:1].lower()}{text[1:]}."


def _keys() -> list[str]:
    sections: dict[str, type[_Section]] = {
        "server": ServerSettings,
        "limits": LimitSettings,
        "policy": PolicySettings,
        "review": ReviewSettings,
        "webhooks": WebhookSettings,
    }
    return [f"{section}.{key}" for section, of in sections.items() for key in of.model_fields]


def _key_of(secret: str) -> bytes:
    """The bytes of a secret; none where it is not one."""
    prefix, _, text = secret.partition("_")
    try:
        key = b64decode(text, validate=True)
    except ValueError:
        return b""

    return key if prefix == "whsec" and len(key) >= 24 else b""
