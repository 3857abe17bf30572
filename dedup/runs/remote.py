"""A run whose folder is at a URL: made whole on this machine, then sent there, `run.json` last.

Object stores have no renaming of folders and no locks of files. So an object that can be created
only once is the lock, a list of the objects that dedup has put there says what may be replaced, and
a run without its `run.json` is no run.
"""

import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from dedup import files
from dedup.errors import RunError, because
from dedup.formats.places import file_system
from dedup.runs.switching import RUN

_LOCK: Final = f"{files.OWN}/lock"
_OBJECTS: Final = f"{files.OWN}/objects.json"
"""The names of what dedup has put below the URL."""

_FAILURES: Final = (OSError, ValueError, RuntimeError, NotImplementedError)
"""What file systems of fsspec raise where something cannot be read or written."""


@dataclass(frozen=True, slots=True)
class Remote:
    """The place of a run at a URL, held by this process."""

    url: str
    folder: Path  # where the run is made on this machine
    system: Any  # an fsspec file system
    root: str  # the URL's place in it

    def refuse_another_run(self, info: Mapping[str, Any], *, overwrite: bool) -> None:
        """Raise `RunError` where a run over another input or config is, unless `overwrite` is
        set.
        """
        there = self._read_json(RUN)
        if there is None or overwrite:
            return

        before, now = there.get("fingerprints", {}), info["fingerprints"]
        other = [what for what in ("input", "config") if before.get(what) != now[what]]
        if other:
            message = (
                f"{self.url} holds a run with another {' and another '.join(other)}. Name another"
                " place with -o or output.dir, or replace it with --overwrite."
            )
            raise RunError(message)

    def send(self) -> None:
        """Put the finished run there. Until its last object is there, nothing there is a run."""
        own = self.folder / files.OWN
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        sent = sorted(
            path.relative_to(self.folder).as_posix()
            for path in paths
            if own not in path.parents and path != self.folder / RUN
        )
        info = json.loads((self.folder / RUN).read_text(encoding="utf-8"))
        info["config"]["output"]["dir"] = self.url
        before = set(self._read_json(_OBJECTS) or ())

        try:
            self._write_json(_OBJECTS, sorted({*before, *sent, RUN}))
            with suppress(FileNotFoundError):
                self.system.rm_file(self._at(RUN))
            for name in sent:
                self.system.put_file(str(self.folder / name), self._at(name))
            for name in sorted(before - {*sent, RUN}):
                with suppress(FileNotFoundError):
                    self.system.rm_file(self._at(name))
            self._write_json(_OBJECTS, [*sent, RUN])
            self._write_json(RUN, info)
        except _FAILURES as error:
            message = (
                f"{self.url}: the run is whole in {str(self.folder)!r}, but it cannot be sent:"
                f" {because(error)}. The same command sends it again."
            )
            raise RunError(message) from error

    def refuse_strangers(self) -> None:
        """Raise `RunError` where objects are that dedup has not put there."""
        own = {*(self._read_json(_OBJECTS) or ()), _LOCK, _OBJECTS}
        try:
            names = self.system.find(self.root)
        except FileNotFoundError:
            return

        others = sorted({name.removeprefix(self.root + "/") for name in names} - own)
        if others:
            message = (
                f"{self.url} holds {others[0]!r}, which was not made by dedup. Name another place"
                " with -o or output.dir."
            )
            raise RunError(message)

    def lock(self) -> None:
        """Create the lock; raises `RunError` where another run has it, or nothing may be
        written.
        """
        holder = {
            "process": os.getpid(),
            "host": platform.node(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        try:
            self.system.invalidate_cache()
            self._create(_LOCK, holder)
        except FileExistsError as error:
            there = self._read_json(_LOCK) or {}
            if not _is_gone(there):
                raise RunError(self._in_use(there)) from error
            self._write_json(_LOCK, holder)
        except _FAILURES as error:
            message = (
                f"{self.url} cannot be written: {because(error)}. Name a place that may be written"
                " with -o or output.dir."
            )
            raise RunError(message) from error

    def unlock(self) -> None:
        """Delete the lock."""
        with suppress(*_FAILURES):
            self.system.rm_file(self._at(_LOCK))

    def _in_use(self, holder: Mapping[str, Any]) -> str:
        who = (
            f" (process {holder['process']} on {holder['host']}, since {holder['since']})"
            if {"process", "host", "since"} <= set(holder)
            else ""
        )
        return (
            f"{self.url} is in use by another run of dedup{who}. Wait until it ends, or, if it was"
            f" killed, delete {self.url}/{_LOCK}."
        )

    def _create(self, name: str, value: Any) -> None:
        data = json.dumps(value).encode()
        try:
            self.system.pipe_file(self._at(name), data, mode="create")
        except (TypeError, NotImplementedError):  # it cannot be asked to create
            if self.system.exists(self._at(name)):
                raise FileExistsError(name) from None
            self.system.pipe_file(self._at(name), data)

    def _write_json(self, name: str, value: Any) -> None:
        data = json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True).encode()
        self.system.pipe_file(self._at(name), data)

    def _read_json(self, name: str) -> Any:
        """What an object says; None where there is none."""
        try:
            return json.loads(self.system.cat_file(self._at(name)))
        except FileNotFoundError:
            return None
        except _FAILURES as error:
            message = f"{self.url}/{name} cannot be read: {because(error)}."
            raise RunError(message) from error

    def _at(self, name: str) -> str:
        return f"{self.root}/{name}"


@contextmanager
def held(url: str, cache: Path | None) -> Iterator[Remote]:
    """The place at a URL, locked; a run that was stopped goes on in the same folder.

    `cache`: the folder that the run's own is made in; without one it is beside temporary files.
    """
    url = url.rstrip("/")
    system, root = file_system(url)
    above = cache or Path(tempfile.gettempdir())
    name = f"dedup-output-{sha256(url.encode()).hexdigest()[:16]}"
    place = Remote(url, above / name, system, root.rstrip("/"))
    place.lock()

    try:
        place.refuse_strangers()
        yield place
    finally:
        place.unlock()


def _is_gone(holder: Mapping[str, Any]) -> bool:
    """Whether a run was of this machine and its process has ended."""
    if holder.get("host") != platform.node() or not isinstance(holder.get("process"), int):
        return False

    try:
        os.kill(holder["process"], 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False

    return False
