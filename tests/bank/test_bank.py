"""What a bank does for its user: build, check, submit, review, remove, export."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import dedup
from dedup.bank import Answer, Bank, BankPolicy, BankSpec, Submission, SubmissionRequest, segments
from dedup.errors import BankConflictError, BankDamagedError, BankError, ConfigError, SourceError
from tests.bank.made import EVERYTHING, bank_of, edited, measures, photos
from tests.pictures import folder, photo


def submitted(said: Submission | Answer) -> Submission:
    assert isinstance(said, Submission)
    return said


def test_an_edited_copy_is_rejected_with_its_entry_and_a_stranger_is_approved(
    tmp_path: Path,
) -> None:
    pictures = photos(range(12))
    bank = bank_of(tmp_path / "shop.bank", pictures)

    same = bank.check(pictures["003.png"])
    near = bank.check(edited(pictures["003.png"]))
    strange = bank.check(photos([99])["099.png"])

    assert ("rejected", "bytes", "003.png") == (
        same.verdict,
        same.matches[0].kind,
        same.matches[0].id,
    )
    assert ("rejected", "near", "003.png") == (
        near.verdict,
        near.matches[0].kind,
        near.matches[0].id,
    )
    assert near.matches[0].verified == "signs"
    assert ("approved", ()) == (strange.verdict, strange.matches)


def test_the_same_pixels_in_another_file_are_of_kind_pixels(tmp_path: Path) -> None:
    pictures = photos([1])
    bank = bank_of(tmp_path / "a.bank", pictures)
    photo(1).save(tmp_path / "a.bmp")

    (match,) = bank.check(tmp_path / "a.bmp").matches

    assert ("pixels", 1.0, 0.0) == (match.kind, match.similarity, match.false_probability)


def test_a_setting_that_is_no_section_is_named(tmp_path: Path) -> None:
    """And nothing is left of the bank."""
    root = folder(tmp_path / "in", ["a.png"])
    with pytest.raises(TypeError, match="workers=0 names none"):
        Bank.build(tmp_path / "a.bank", root, workers=0)

    assert not (tmp_path / "a.bank").exists()


@pytest.mark.parametrize("kind", ["path", "text", "bytes", "image"])
def test_a_picture_is_given_as_a_path_as_bytes_or_decoded(tmp_path: Path, kind: str) -> None:
    root = folder(tmp_path / "in", ["a.png"])
    bank = Bank.build(tmp_path / "a.bank", root, engine={"workers": 0})
    path = root / "a.png"
    data: Any = {"path": path, "text": str(path), "bytes": path.read_bytes(), "image": photo(0)}[
        kind
    ]

    assert "rejected" == bank.check(data).verdict


def test_blank_pictures_match_by_pixels_only(tmp_path: Path) -> None:
    grey, white = Image.new("RGB", (80, 80), "grey"), Image.new("RGB", (80, 80), "white")
    bank = Bank.create(tmp_path / "a.bank")
    bank.add(grey, "grey")

    assert ["grey"] == [match.id for match in bank.check(grey).matches]
    assert () == bank.check(white).matches


def test_a_small_entry_keeps_a_thumbnail_and_says_so(tmp_path: Path) -> None:
    pictures = photos(range(6), (40, 30))
    bank = bank_of(tmp_path / "a.bank", pictures)

    answer = bank.check(edited(pictures["002.png"], quality=90))

    assert ("002.png", "thumbnails") == (answer.matches[0].id, answer.matches[0].verified)


def test_a_picture_that_cannot_be_read_gets_a_status_and_never_a_verdict(tmp_path: Path) -> None:
    bank = bank_of(tmp_path / "a.bank", photos([1]))
    broken = photos([1])["001.png"][:400]

    for said in (bank.check(broken), bank.submit(broken, "x"), bank.check(tmp_path / "absent.jpg")):
        assert isinstance(said, Answer)
        assert (None, ()) == (said.verdict, said.matches)
        assert said.status in {"truncated", "undecodable", "missing"}
    with pytest.raises(SourceError, match=r"'x' was not added: (truncated|undecodable)"):
        bank.add(broken, "x")
    assert 1 == len(bank)


def test_what_is_approved_is_an_entry_and_the_next_equal_one_is_rejected(tmp_path: Path) -> None:
    bank = Bank.create(tmp_path / "a.bank")
    data = photos([1])["001.png"]

    first, second = submitted(bank.submit(data, "a")), submitted(bank.submit(edited(data), "b"))

    assert ("approved", "rejected") == (first.verdict, second.verdict)
    assert ["a"] == [match.id for match in second.answer.matches]
    assert (["a"], second) == ([entry.id for entry in bank.entries()], bank.submission(second.name))


def test_of_equal_pictures_in_one_group_the_first_is_approved(tmp_path: Path) -> None:
    bank = Bank.create(tmp_path / "a.bank")
    picture = bank.measure(photos([1])["001.png"])
    other = bank.measure(photos([2])["002.png"])

    said = bank.submit_many(
        [SubmissionRequest(p, str(k)) for k, p in enumerate([picture, picture, other, picture])]
    )

    got = [submitted(one).verdict for one in said]  # type: ignore[arg-type]
    assert ["approved", "rejected", "approved", "rejected"] == got


def test_between_the_limits_a_person_decides_and_approving_joins(tmp_path: Path) -> None:
    bank = bank_of(tmp_path / "a.bank", photos([1]))
    near, policy = edited(photos([1])["001.png"]), BankPolicy(reject=1.0, review=0.3)
    first, second = (submitted(bank.submit(near, name, policy)) for name in ("x", "y"))

    assert ("pending", "similar") == (first.verdict, first.answer.reason)
    assert [first.name, second.name] == [s.name for s in bank.submissions(verdict="pending")]
    approved = bank.review(first.name, "approve", by="ann", note="another print", version=1)
    rejected = bank.review(second.name, "reject", by="ann")

    assert ("approved", "ann", 2) == (approved.verdict, approved.decided_by, approved.version)
    assert "rejected" == rejected.verdict
    assert ("x" in bank, "y" in bank) == (True, False)
    assert "x" in [match.id for match in bank.check(near).matches]
    with pytest.raises(BankConflictError, match=r"is approved already, by 'ann'"):
        bank.review(first.name, "reject", by="bob")


def test_a_review_of_an_older_version_is_refused(tmp_path: Path) -> None:
    bank = Bank.create(tmp_path / "a.bank")
    said = submitted(bank.submit(photos([1])["001.png"], "a", BankPolicy(always_review=True)))

    assert ("pending", "review") == (said.verdict, said.answer.reason)
    with pytest.raises(BankConflictError, match=r"has version 1, not 7"):
        bank.review(said.name, "approve", by="ann", version=7)


def test_an_idempotency_key_gives_the_first_answer_again(tmp_path: Path) -> None:
    bank = Bank.create(tmp_path / "a.bank")
    data = photos([1, 2])
    first = submitted(bank.submit(data["001.png"], "a", idempotency_key="k"))

    again = submitted(bank.submit(data["001.png"], "a", idempotency_key="k"))

    assert (first.name, "approved", True) == (again.name, again.verdict, again.replayed)
    with pytest.raises(BankConflictError, match=r"used for another picture"):
        bank.submit(data["002.png"], "b", idempotency_key="k")


def test_outcomes_are_in_the_outbox_in_the_transaction_of_the_verdict(tmp_path: Path) -> None:
    bank = Bank.create(tmp_path / "a.bank")
    data = photos([1])["001.png"]
    said = [
        submitted(bank.submit(data, name, notify=("https://example.org/hook",)))
        for name in ("a", "b")
    ]

    due = bank.outbox.due()

    assert ["submission.approved", "submission.rejected"] == [one.type for one in due]
    assert [one.name for one in said] == [
        json.loads(one.payload)["data"]["submission"] for one in due
    ]
    bank.outbox.settle(due[0].number, "200", state="delivered")
    bank.outbox.settle(due[1].number, "500", state="failed")
    assert [] == bank.outbox.due()
    bank.outbox.retry(due[1].number)
    assert [due[1].event] == [one.event for one in bank.outbox.due()]


def test_what_is_removed_is_in_no_later_answer_of_any_handle(tmp_path: Path) -> None:
    pictures = photos(range(3))
    bank = bank_of(tmp_path / "a.bank", pictures)
    other = Bank(tmp_path / "a.bank")
    bank.compact()
    assert other.check(pictures["001.png"]).matches

    assert ["none"] == bank.remove(["001.png", "none"])

    assert () == other.check(pictures["001.png"]).matches
    assert () == bank.check(pictures["001.png"]).matches


def test_forgotten_entries_leave_no_byte_behind(tmp_path: Path) -> None:
    """Codes and signs of what was removed are in no file of the bank."""
    pictures = photos(range(4))
    bank = bank_of(tmp_path / "a.bank", pictures)
    bank.compact()
    picture = bank.measure(pictures["002.png"])
    secrets = [picture.signs, picture.codes["phash"], b"002.png"]

    bank.remove("002.png", forget=True)
    bank.close()

    files = [path.read_bytes() for path in (tmp_path / "a.bank").rglob("*") if path.is_file()]
    assert [False] * len(secrets) == [any(secret in data for data in files) for secret in secrets]


def test_a_transaction_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    bank = Bank.create(tmp_path / "a.bank")

    def add_twice() -> None:
        with bank.writing():
            bank.add(measures(1, 1), "a")
            bank.add(measures(2, 2), "a")

    with pytest.raises(BankConflictError):
        add_twice()

    assert (0, ()) == (len(bank), bank.check(measures(1, 1), policy=EVERYTHING).matches)


@pytest.mark.parametrize("entry", ["", " ", "a/b\\c", "'\";--", "ünï", "x" * 5000, "\n", "😀"])
def test_ids_are_any_text(tmp_path: Path, entry: str) -> None:
    bank = Bank.create(tmp_path / "a.bank")
    bank.add(measures(1, 1), entry)

    assert [entry] == [match.id for match in bank.check(measures(1, 1), policy=EVERYTHING).matches]


def test_the_same_id_twice_is_refused_unless_it_is_replaced(tmp_path: Path) -> None:
    bank = Bank.create(tmp_path / "a.bank")
    bank.add(measures(1, 1), "a")
    with pytest.raises(BankConflictError, match=r"The id 'a' is that of an entry"):
        bank.add(measures(2**64 - 1, 2**64 - 1), "a")
    bank.add(measures(2**64 - 1, 2**64 - 1), "a", replace=True)

    assert () == bank.check(measures(1, 1), policy=EVERYTHING).matches
    assert 1 == len(bank.check(measures(2**64 - 1, 2**64 - 1), policy=EVERYTHING).matches)


def test_a_bank_of_a_finished_run_equals_the_bank_of_its_dataset(tmp_path: Path) -> None:
    root = folder(tmp_path / "in", [f"{k}.png" for k in range(5)])
    run = dedup.audit(root, dir=str(tmp_path / "run"), workers=0)
    ids = run.manifest["id"].to_pylist()

    of_run = Bank.build(tmp_path / "a.bank", tmp_path / "run")
    of_pictures = Bank.build(tmp_path / "b.bank", root, engine={"workers": 0})

    assert ids == [entry.id for entry in of_run.entries()]
    for bank in (of_run, of_pictures):
        bank.export(tmp_path / f"{bank.path.stem}.bank.parquet", source="same", digests=True)
    assert (tmp_path / "a.bank.parquet").read_bytes() == (tmp_path / "b.bank.parquet").read_bytes()


def test_a_source_is_added_with_its_unreadable_pictures_counted(tmp_path: Path) -> None:
    root = folder(tmp_path / "in", ["a.png", "b.png"])
    (root / "c.png").write_bytes((root / "a.png").read_bytes()[:300])
    bank = Bank.create(tmp_path / "a.bank")

    counts = bank.add_source(root, engine={"workers": 0})

    assert (2, 1, ("c.png",)) == (counts.added, counts.n_unreadable, counts.unreadable_ids)
    with pytest.raises(BankConflictError, match=r"'a.png' is that of an entry"):
        bank.add_source(root, engine={"workers": 0})
    assert 2 == bank.add_source(root, replace=True, engine={"workers": 0}).replaced


def test_a_portable_bank_answers_as_the_bank_it_was_made_of(tmp_path: Path) -> None:
    pictures = photos(range(8))
    bank = bank_of(tmp_path / "a.bank", pictures)
    asked = [edited(data) for data in pictures.values()] + [photos([77])["077.png"]]

    n = bank.export(tmp_path / "x.bank.parquet", licence="none")
    portable = Bank(tmp_path / "x.bank.parquet")

    assert (8, 8, "none") == (n, len(portable), portable.about.licence)
    for data in asked:
        expected = [(m.id, m.similarity, m.verified) for m in bank.check(data).matches]
        assert expected == [(m.id, m.similarity, m.verified) for m in portable.check(data).matches]
    with pytest.raises(BankError, match=r"opened read-only"):
        portable.add(measures(1, 1), "a")


def test_without_ids_entries_are_numbered(tmp_path: Path) -> None:
    bank = bank_of(tmp_path / "a.bank", photos(range(2)))
    bank.export(tmp_path / "x.bank.parquet", ids=False)

    assert ["000000000", "000000001"] == [e.id for e in Bank(tmp_path / "x.bank.parquet").entries()]


def test_a_copy_made_while_the_bank_is_used_is_a_bank(tmp_path: Path) -> None:
    pictures = photos(range(3))
    bank = bank_of(tmp_path / "a.bank", pictures)
    bank.compact()
    bank.copy(tmp_path / "b.bank")
    copied = Bank(tmp_path / "b.bank")

    assert (3, "rejected") == (len(copied), copied.check(pictures["001.png"]).verdict)
    assert copied.verify().is_whole


def test_verify_names_what_the_index_has_and_the_rows_have_not(tmp_path: Path) -> None:
    bank = bank_of(tmp_path / "a.bank", photos(range(3)))
    bank.compact()
    assert bank.verify().is_whole
    (path,) = (tmp_path / "a.bank/search").glob("*.arrow")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))

    (problem,) = bank.verify().problems

    assert f"{path.name}: its content changed. 'dedup bank compact' makes it again." == problem


def test_a_client_that_keeps_its_pixels_gets_an_answer(tmp_path: Path) -> None:
    pictures = photos(range(5))
    bank = bank_of(tmp_path / "a.bank", pictures)
    text = bank.measure(pictures["001.png"]).to_json(thumbnail=False)

    picture = dedup.bank.MeasuredPicture.from_json(text, bank.spec)

    assert picture.thumbnail is None
    assert ["001.png"] == [match.id for match in bank.check(picture).matches]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"status": 3}',
        '{"status": "ok"}',
        '{"status": "ok", "codes": {"dhash": "AA=="}}',
        "[" * 9999,
    ],
)
def test_what_is_not_the_measures_of_a_picture_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"measures of a picture"):
        dedup.bank.MeasuredPicture.from_json(text, BankSpec())


def test_a_newer_bank_another_canary_and_other_codes_are_refused(tmp_path: Path) -> None:
    bank = bank_of(tmp_path / "a.bank", photos([1]))
    with bank._store.write() as connection:
        connection.execute(
            """UPDATE meta SET value = replace(value, '"canary": "', '"canary": "0000')
            WHERE key = 'info'"""
        )
    with pytest.raises(BankError, match=r"canary pictures come out as 0000.*bank rebuild"):
        Bank(bank.path).add(measures(1, 1), "a")
    assert "rejected" == Bank(bank.path).check(photos([1])["001.png"]).verdict
    with bank._store.write() as connection:
        connection.execute(
            """UPDATE meta SET value = replace(value, '"format": 1', '"format": 9')
            WHERE key = 'info'"""
        )
    with pytest.raises(BankError, match=r"format 9 of banks.*Update dedup"):
        Bank(bank.path)


def test_a_truncated_database_is_named_with_what_to_do(tmp_path: Path) -> None:
    bank = bank_of(tmp_path / "a.bank", photos(range(30)))
    bank.close()
    database = tmp_path / "a.bank/bank.sqlite"
    database.write_bytes(database.read_bytes()[:5000])

    with pytest.raises(BankDamagedError, match=r"bank.sqlite' is damaged.*dedup bank copy"):
        Bank(bank.path).check(photos([1])["001.png"])


def test_a_folder_that_is_not_a_bank_is_named(tmp_path: Path) -> None:
    with pytest.raises(BankError, match=r"is not a bank.*dedup bank build"):
        Bank(tmp_path)
    with pytest.raises(BankError, match=r"is there already"):
        Bank.create(tmp_path)


def test_a_bank_that_is_read_only_answers_and_refuses_changes(tmp_path: Path) -> None:
    pictures = photos(range(2))
    bank_of(tmp_path / "a.bank", pictures).close()
    bank = Bank(tmp_path / "a.bank", read_only=True)

    assert "rejected" == bank.check(pictures["001.png"]).verdict
    for change in (
        lambda: bank.add(measures(1, 1), "x"),
        lambda: bank.remove("001.png"),
        bank.compact,
    ):
        with pytest.raises(BankError, match=r"opened read-only"):
            change()


def test_a_writer_waits_and_then_says_who_is_in_the_way(tmp_path: Path) -> None:
    bank, other = bank_of(tmp_path / "a.bank", {}), Bank(tmp_path / "a.bank", timeout=0.05)
    with bank.writing(), pytest.raises(BankError, match=r"being written by another process"):
        other.add(measures(1, 1), "x")


def test_keys_are_shown_once_and_found_by_their_digest(tmp_path: Path) -> None:
    bank = Bank.create(tmp_path / "a.bank")
    key = bank.keys.add("uploads", ["submit", "check"])

    found = bank.keys.find(key)

    assert found is not None
    assert ("uploads", ("check", "submit")) == (found.name, found.scopes)
    assert key.encode() not in b"".join(
        p.read_bytes() for p in (tmp_path / "a.bank").rglob("*") if p.is_file()
    )
    bank.keys.revoke("uploads")
    assert (None, None) == (bank.keys.find(key), bank.keys.find("dk_x"))
    with pytest.raises(ConfigError, match=r"'root'"):
        bank.keys.add("x", ["root"])


def test_a_policy_whose_limits_make_no_sense_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"must not be above policy.reject"):
        BankPolicy(reject=0.5, review=0.8)
    with pytest.raises(ConfigError, match=r"policy.reject must be a number in \[0, 1\], not 87"):
        BankPolicy(reject=87)


def test_a_search_file_is_what_was_written(tmp_path: Path) -> None:
    bank = bank_of(tmp_path / "a.bank", photos(range(3)))
    bank.compact()
    (path,) = (tmp_path / "a.bank/search").glob("*.arrow")

    with pytest.raises(BankError, match=r"of another bank"):
        segments.read(path, BankSpec(mode="compat"), path.stat().st_size)
