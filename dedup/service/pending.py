"""Files of pending submissions, kept beside the bank until a person decided."""

from pathlib import Path
from typing import Final

from dedup import files
from dedup.bank import Bank
from dedup.bank.answers import PENDING

FOLDER: Final = "pending"

_PREFIX: Final = "sub_"  # of the names of submissions
_PAGE: Final = 1_000


class PendingPictures:
    """What reviewers look at. Losing it loses nothing else: the bank keeps a small picture."""

    def __init__(self, bank_folder: Path) -> None:
        self._folder = bank_folder / FOLDER

    def keep(self, submission: str, data: bytes) -> None:
        """Write it down; a reader never sees half of it."""
        self._folder.mkdir(exist_ok=True)
        partial = self._folder / f"{submission}.part"
        partial.write_bytes(data)
        partial.replace(self._folder / submission)

    def read(self, submission: str) -> bytes | None:
        """The file; None where it is not kept."""
        try:
            return (self._folder / submission).read_bytes()
        except OSError:
            return None

    def drop(self, submission: str) -> None:
        """It is decided."""
        files.remove(self._folder / submission, self)

    def owns(self, path: Path) -> bool:
        """Whether a file was kept here, for `files.remove`."""
        return path.parent == self._folder and path.name.startswith(_PREFIX)

    def sweep(self, bank: Bank) -> None:
        """Delete what is not pending: a process may have been killed before it did."""
        if not self._folder.is_dir():
            return

        # The folder first: what becomes pending after this is not in the list.
        there = [path for path in self._folder.iterdir() if self.owns(path)]
        pending = _pending(bank) if there else set()
        for path in there:
            if path.name not in pending:
                files.remove(path, self)


def _pending(bank: Bank) -> set[str]:
    names: set[str] = set()
    after = None
    while page := bank.submissions(verdict=PENDING, after=after, limit=_PAGE):
        names |= {submission.name for submission in page}
        after = page[-1].name

    return names
