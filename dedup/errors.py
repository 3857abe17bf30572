"""What can go wrong, as a tree.

    DedupError
    ├── ConfigError       the request is wrong: settings, options, arguments
    │   └── OptionError       a keyword is none that the function has; a TypeError, too
    ├── SourceError       the dataset cannot be read or written as asked
    ├── RunError          the run folder cannot be used as asked
    ├── TableError        a stored table is of another kind, version or spec
    ├── BankError         the bank cannot be used as asked
    │   ├── BankBusyError     another process writes to it
    │   ├── BankConflictError an id is taken, or what was asked was decided before
    │   │   ├── BankKeyReusedError    an idempotency key stands for something else
    │   │   └── BankVersionError      it changed since it was looked at
    │   ├── BankMissingError  there is no such submission, delivery or key
    │   ├── BankDamagedError  its database cannot be read
    │   └── BankFullError     there is no room on the disk
    ├── EngineError       what the work runs on cannot do it
    ├── ServiceError      a service refused a request, or does not answer
    ├── LimitError        a stated limit would be passed
    ├── MissingExtraError an optional dependency is not installed
    └── InternalError     a bug of dedup's own

Bad data is none of these: it is a row with a status.
"""

from collections.abc import Mapping
from typing import Any


class DedupError(Exception):
    """Base of every error that dedup raises on purpose."""


class ConfigError(DedupError):
    """The request is wrong.

    `problems` has one line for each mistake: all of them are found at once.
    """

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class OptionError(ConfigError, TypeError):
    """A keyword argument is not one that the function has, as Python itself would say."""


class SourceError(DedupError):
    """The dataset cannot be read, or not be written as asked."""


class RunError(DedupError):
    """The run folder cannot be used as asked."""


class TableError(DedupError):
    """A stored table is of another kind, schema version or spec than expected."""


class BankError(DedupError):
    """The bank cannot be used as asked."""


class BankBusyError(BankError):
    """Another process is writing to the bank, and did not finish in time."""


class BankConflictError(BankError):
    """What was asked contradicts what is there: an id, a key or a version is taken."""


class BankKeyReusedError(BankConflictError):
    """An idempotency key was used before, for something else."""


class BankVersionError(BankConflictError):
    """What was to be changed has another version than the one that was seen."""


class BankMissingError(BankError):
    """There is nothing of this name in the bank."""


class BankDamagedError(BankError):
    """The database of the bank cannot be read."""


class BankFullError(BankError):
    """The bank could not be written: the disk is full or fails."""


class EngineError(DedupError):
    """The cluster that the work should run on cannot be used as asked."""


class ServiceError(DedupError):
    """A service refused a request, or does not answer.

    `status`: of HTTP, 0 where there was no answer; `problem`: its problem document (RFC 9457).
    """

    def __init__(
        self, message: str, status: int = 0, problem: Mapping[str, Any] | None = None
    ) -> None:
        self.status = status
        self.problem = dict(problem or {})
        super().__init__(message)


class LimitError(DedupError):
    """A limit that the config states would be passed."""


class MissingExtraError(DedupError):
    """An optional dependency is not installed."""


class InternalError(DedupError):
    """A bug of dedup's own. Please report it."""


def because(error: BaseException) -> str:
    """What an error of another library says, as the end of a sentence: on one line, without a full
    stop.

    >>> because(ValueError("No such\\n  column.")), because(ValueError())
    ('No such column', 'ValueError')
    """
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
