"""The bank: a persistent set of entries that new pictures are checked against."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

from dedup import files
from dedup.bank import building, database, maintenance, submissions
from dedup.bank.answers import Answer, BankPolicy, Submission
from dedup.bank.building import Counts
from dedup.bank.database import now
from dedup.bank.identity import canary_of, refuse_other_canary
from dedup.bank.maintenance import libraries
from dedup.bank.picture import MeasuredPicture, of_table
from dedup.bank.reader import DEFAULT_TIMEOUT, Picture, Reader
from dedup.bank.store import MAX_TAIL_ROWS, delete, insert, taken
from dedup.bank.submissions import SubmissionRequest
from dedup.errors import BankConflictError, BankError, SourceError
from dedup.hashers.drift import canary_codes_of
from dedup.tables.entries import DATABASE, BankInfo, BankSpec, default_distance


class Bank(Reader):
    """A bank in a folder. Safe to use from several threads, and from several processes at once.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with Bank.create(f"{folder}/shop.bank") as bank:
    ...         len(bank)
    0
    """

    @classmethod
    def create(
        cls,
        path: str | Path,
        spec: BankSpec | None = None,
        *,
        source: str | None = None,
        licence: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Self:
        """A new, empty bank. Raises `BankError` where there is something at the path."""
        target = Path(path)
        if target.exists():
            message = (
                f"{str(target)!r} is there already. Name a new folder, or add to the bank that"
                " it is."
            )
            raise BankError(message)

        spec = spec or BankSpec()
        info = BankInfo(spec, canary_of(spec), canary_codes_of(spec), libraries(), source, licence)
        values = {
            "info": info.to_json(),
            "generation": "0",
            "max_distance": str(default_distance(spec)),
            "created": str(now()),
        }
        target.mkdir(parents=True)

        try:
            with (
                files.appearing(target / DATABASE) as partial,
                closing(database.create(partial)) as connection,
            ):
                connection.executemany("INSERT INTO meta VALUES (?, ?)", values.items())
        except BaseException:
            files.remove_if_empty(target)
            raise

        return cls(target, timeout=timeout)

    @classmethod
    def build(
        cls,
        path: str | Path,
        source: str | Path | Sequence[str | Path],
        *,
        licence: str | None = None,
        progress: Callable[[int], None] | None = None,
        **options: Any,
    ) -> Self:
        """A new bank of a dataset in any form, of several, or of a finished run (no pixel is read
        again).

        `options`: settings of a run by section (`hash={"bits": 256}`, `dataset={"split":
        ["test"]}`). Pictures that cannot be read are left out, and counted in `bank.built`.
        """
        sources = [source] if isinstance(source, str | Path) else list(source)
        named = ", ".join(map(str, sources))
        if len(sources) == 1 and building.is_run(sources[0]):
            spec, _ = building.spec_of_run(Path(sources[0]))
            parts = building.of_run(Path(sources[0]))
        else:
            dataset, config = building.opened(sources, options)
            spec = building.spec_of(config)
            parts = building.of_source(dataset, spec, config)

        bank = cls.create(path, spec, source=named, licence=licence)
        bank.built = building.filled(bank._store, parts, replace_ids=False, advance=progress)
        bank.compact()

        return bank

    built: Counts | None = None
    """What became of the pictures of the source, after `build` and `add_source`."""

    def prepare_to_write(self) -> None:
        """Do now what the first change would have to do: measure the canary pictures, and put rows
        that are in no search file, as those of a copy, into one.

        Raises `BankError` where codes made here would not fit those that are there.
        """
        self._for_writing()
        self._sealed()

    def submit(
        self,
        data: Picture,
        id: str | None = None,  # noqa: A002  # the user's word for it
        policy: BankPolicy | None = None,
        *,
        idempotency_key: str | None = None,
        label: str | None = None,
        uri: str | None = None,
        notify: Sequence[str] = (),
    ) -> Submission | Answer:
        """Check and decide in one transaction; what is approved is an entry when this returns.

        Of pictures that match each other at most one is approved, however many processes submit at
        once. Returns an `Answer` where there is no picture. Raises `BankConflictError` for an id or
        an idempotency key that is taken.
        """
        request = SubmissionRequest(
            picture=self._measured([data])[0],
            entry=id,
            policy=policy or BankPolicy(),
            idempotency_key=idempotency_key,
            label=label,
            uri=uri,
            notify=tuple(notify),
        )
        (said,) = self.submit_many([request])
        if isinstance(said, BankConflictError):
            raise said

        return said

    def submit_many(
        self, requests: Sequence[SubmissionRequest]
    ) -> list[Submission | Answer | BankConflictError]:
        """Several submissions in one transaction, decided one after the other; see `submit`."""
        self._for_writing()
        said = submissions.submitted(self._store, requests)
        self._sealed()
        return said

    def review(
        self,
        submission: str,
        decision: str,
        *,
        by: str,
        note: str | None = None,
        version: int | None = None,
    ) -> Submission:
        """A person's word on a pending submission: "approve" makes it an entry, "reject" does not.

        `version`: the one that the person saw. Raises `BankConflictError` where it changed since.
        """
        self._for_writing()
        return submissions.reviewed(self._store, submission, decision, by, note, version)

    def add(
        self,
        data: Picture,
        id: str,  # noqa: A002  # the user's word for it
        *,
        replace: bool = False,
        label: str | None = None,
        uri: str | None = None,
    ) -> MeasuredPicture:
        """Add an entry without a check. Raises `SourceError` where there is no picture.

        Raises `BankConflictError` for an id that is taken, unless `replace` is set.
        """
        self._for_writing()
        picture = self._measured([data])[0]
        if not picture.is_readable:
            message = f"{id!r} was not added: {picture.status}: {picture.detail}."
            raise SourceError(message)

        if uri is None and isinstance(data, str | Path):
            uri = str(data)

        with self._store.write() as connection:
            if replace:
                delete(connection, id)
            elif taken(connection, id):
                message = (
                    f"The id {id!r} is that of an entry of {str(self.path)!r}. "
                    "Choose another one, or replace the entry."
                )
                raise BankConflictError(message)
            insert(connection, picture, self.spec, id, label, uri)

        self._sealed()

        return picture

    def add_source(
        self,
        source: str | Path | Sequence[str | Path],
        *,
        replace: bool = False,
        progress: Callable[[int], None] | None = None,
        **options: Any,
    ) -> Counts:
        """Add a dataset, or a finished run, without a check; see `build`."""
        self._for_writing()
        parts = self._parts(source, options)
        self.built = building.filled(self._store, parts, replace_ids=replace, advance=progress)
        self._sealed()

        return self.built

    def measured_source(
        self, source: str | Path | Sequence[str | Path], **options: Any
    ) -> Iterator[tuple[str, MeasuredPicture]]:
        """(id, measures) of the samples of a dataset or a run, measured by workers, for `check` and
        `submit`.
        """
        for part in self._parts(source, options):
            yield from zip(
                part.rows["id"].to_pylist(), of_table(part.hashes, self.spec), strict=True
            )

    def rebuild(
        self,
        source: str | Path | Sequence[str | Path],
        *,
        drop_missing: bool = False,
        **options: Any,
    ) -> Counts:
        """Measure all entries again, from pictures of the same ids: for a bank made by other
        decoders.

        One transaction: readers see the old entries until all are there. Raises `BankError` where
        entries are not in the source (unless `drop_missing`), or submissions wait for a person.
        """
        info = self.about
        spec = info.spec
        new = BankInfo(
            spec, canary_of(spec), canary_codes_of(spec), libraries(), info.source, info.licence
        )

        with self._store.write():
            self.built = building.rebuilt(
                self._store, self._parts(source, options), new, drop_missing=drop_missing
            )

        self._store.info = new
        self._checked_canary = True
        self.compact(everything=True)

        return self.built

    def remove(self, ids: str | Iterable[str], *, forget: bool = False) -> list[str]:
        """Remove entries; no later answer has them. Returns the ids that there were none of.

        `forget`: nothing of them stays, neither in free pages, search files, submissions nor the
        outbox.
        """
        wanted = [ids] if isinstance(ids, str) else list(ids)
        with self._store.write() as connection:
            if forget:
                connection.execute("PRAGMA secure_delete = ON")
            unknown = [entry for entry in wanted if not delete(connection, entry, forget=forget)]

        if forget:
            maintenance.forget(self._store, wanted)
            self.compact(everything=True)
            maintenance.wiped(self._store)

        return unknown

    @contextmanager
    def writing(self) -> Iterator[Self]:
        """Several changes in one transaction: all of them are kept, or none.

        Other writers wait meanwhile; readers see the bank as it was.
        """
        self._for_writing()
        with self._store.write():
            yield self
        self._sealed()

    def compact(self, *, everything: bool = False, threads: int = 1) -> int:
        """Put newer entries into a search file; with `everything` make all files anew as one.

        Safe at any time: checks and changes go on. Returns the rows that were written.
        """
        return maintenance.compact(self._store, everything=everything, threads=threads)

    def _parts(
        self, source: str | Path | Sequence[str | Path], options: Mapping[str, Any]
    ) -> Iterator[building.Part]:
        """The pictures of a dataset or a run, measured as the bank's were."""
        sources = [source] if isinstance(source, str | Path) else list(source)
        if len(sources) == 1 and building.is_run(sources[0]):
            self._refuse_other(building.spec_of_run(Path(sources[0]))[0], str(sources[0]))
            return building.of_run(Path(sources[0]))

        settings = {**options, "hash": self._hash_settings() | options.get("hash", {})}
        dataset, config = building.opened(sources, settings)
        self._refuse_other(building.spec_of(config), str(sources[0]))

        return building.of_source(dataset, self.spec, config)

    def _for_writing(self) -> None:
        """Raises `BankError` where codes made here would not fit those that are there."""
        if not self._checked_canary:
            refuse_other_canary(self.about, repr(str(self.path)))
            self._checked_canary = True

    def _refuse_other(self, spec: BankSpec, name: str) -> None:
        if different := self.spec.differences(spec):
            message = (
                f"{str(self.path)!r} holds codes with {'; '.join(different)} as in {name!r}. "
                "Hash the source with the bank's settings, or build another bank."
            )
            raise BankError(message)

    def _hash_settings(self) -> dict[str, Any]:
        of = self.spec
        return {
            "algorithms": list(of.algorithms),
            "bits": of.bits,
            "mode": of.mode,
            "background": of.background,
            "max_pixels": of.max_pixels,
        }

    def _sealed(self) -> None:
        """Put a long tail into a search file; somebody else may be doing it."""
        if self._store.in_transaction:
            return

        with self._store.read() as connection:
            n = self._store.snapshot(connection).tail_rows

        if n >= MAX_TAIL_ROWS:
            maintenance.compact_if_free(self._store)
