"""Values of a dataset as texts that Arrow can hold."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass


def as_text(value: Any) -> str | None:
    """A value as valid Unicode, None for null and empty: JSON can hold half a surrogate pair, Arrow
    cannot.
    """
    return (
        None
        if value is None or value == ""
        else str(value).encode("utf-8", "backslashreplace").decode()
    )
