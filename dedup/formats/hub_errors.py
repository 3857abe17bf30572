"""What went wrong with a dataset of the Hub, said with its remedy."""

import ssl
import urllib.error
import urllib.request
from typing import Final

import datasets
import huggingface_hub

from dedup.config import DatasetConfig
from dedup.errors import ConfigError, DedupError, SourceError, because
from dedup.formats.places import protocol

_SECONDS_TO_ANSWER: Final = 10


_REMEDY: Final = "Check the network (and HF_HUB_OFFLINE, HF_ENDPOINT), or name a local copy."


UNREADABLE = (OSError, ValueError, KeyError, datasets.exceptions.DatasetsError)


def refuse_unreachable(url: str) -> None:
    """Raise when nothing answers at the Hub's address: its clients try six times, which takes half
    a minute.

    What an answer says is left to them; so is everything that has to do with certificates, as
    theirs may be others.
    """
    endpoint = huggingface_hub.constants.ENDPOINT
    if huggingface_hub.constants.HF_HUB_OFFLINE or protocol(endpoint) not in {"http", "https"}:
        return

    try:
        urllib.request.urlopen(
            urllib.request.Request(endpoint, method="HEAD"), timeout=_SECONDS_TO_ANSWER
        ).close()
    except urllib.error.HTTPError as error:
        error.close()
    except OSError as error:
        reason = getattr(error, "reason", error)
        if not isinstance(reason, ssl.SSLError):
            message = f"{url}: the Hub cannot be reached at {endpoint}: {reason}. {_REMEDY}"
            raise SourceError(message) from error


def why_unread(url: str, error: Exception, config: DatasetConfig) -> DedupError:
    """The error to raise for one that reading a dataset of the Hub ended with."""
    text = because(error)
    if isinstance(error, datasets.exceptions.DatasetNotFoundError):
        hint = "Check the name and the revision; if it is private, run `hf auth login`."
        return ConfigError(f"{url}: no such dataset on the Hub: {text}. {hint}")

    if isinstance(error, ConnectionError) or "offline" in text.lower() or "connect" in text.lower():
        return SourceError(f"{url}: the Hub cannot be reached: {text}. {_REMEDY}")

    return asked_wrongly(url, error, config) or SourceError(f"{url}: cannot be read: {text}.")


def asked_wrongly(name: str, error: Exception, config: DatasetConfig) -> ConfigError | None:
    """The error of a setting that names what is not there, if it is one: `datasets` has ValueErrors
    for all of them.
    """
    text = because(error)
    if "available configs" in text or ("BuilderConfig" in text and "not found" in text):
        return ConfigError(f"{name}: {text}. Name one of them as dataset.name.")

    if config.data_files and isinstance(error, FileNotFoundError):
        asked = ", ".join(map(repr, config.data_files))
        return ConfigError(
            f"{name}: {text}. dataset.data_files is {asked}: check the pattern, or take it out."
        )

    return None
