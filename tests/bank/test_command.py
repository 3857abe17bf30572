"""`dedup bank …` as a person or a script uses it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dedup.bank import Bank
from dedup.cli import app
from tests.bank.made import edited
from tests.pictures import encoded, folder, photo

INLINE = ["--workers", "0"]


def dedup(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["bank", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    root = folder(tmp_path / "in", [f"{k}.png" for k in range(4)])
    result = dedup("build", tmp_path / "shop.bank", root, *INLINE)

    assert (0, True) == (result.exit_code, "4 added; the bank has 4 entries" in result.output)
    return tmp_path / "shop.bank"


def test_check_exits_with_3_where_anything_matches_and_with_0_else(
    bank: Path, tmp_path: Path
) -> None:
    near, strange = tmp_path / "near.jpg", tmp_path / "strange.png"
    near.write_bytes(edited(encoded(photo(2))))
    strange.write_bytes(encoded(photo(50)))

    matched, free = dedup("check", bank, near, *INLINE), dedup("check", bank, strange, *INLINE)

    assert (3, 0) == (matched.exit_code, free.exit_code)
    assert "rejected: 2.png (near," in matched.output
    assert "1 pictures, 0 matched, 0 unreadable" in free.output


def test_check_of_a_folder_prints_a_json_document_for_each_picture(
    bank: Path, tmp_path: Path
) -> None:
    root = folder(tmp_path / "new", ["a.png", "b.png"], first_seed=3)
    (root / "c.png").write_bytes(b"\x89PNG\r\n\x1a\n")

    result = dedup("check", bank, root, "--json", *INLINE)

    answers = {row["asked"]: row for row in map(json.loads, result.output.splitlines())}
    assert {"a.png": "rejected", "b.png": "approved", "c.png": None} == {
        k: v["verdict"] for k, v in answers.items()
    }
    assert 3 == result.exit_code


def test_add_unless_duplicate_names_what_matches_and_adds_the_rest(
    bank: Path, tmp_path: Path
) -> None:
    root = folder(tmp_path / "new", ["a.png", "b.png"], first_seed=3)

    result = dedup("add", bank, root / "a.png", root / "b.png", "--unless-duplicate")

    assert (3, 5) == (result.exit_code, len(Bank(bank)))
    assert "a.png: rejected: 3.png (bytes" in result.output


def test_add_remove_verify_compact_copy_and_export(bank: Path, tmp_path: Path) -> None:
    more = folder(tmp_path / "more", ["x.png"], first_seed=9)
    assert 0 == dedup("add", bank, more, *INLINE).exit_code
    assert 1 == dedup("add", bank, more, *INLINE).exit_code
    assert 0 == dedup("add", bank, more, "--replace", *INLINE).exit_code
    removed = dedup("remove", bank, "x.png", "none", "--forget")

    assert "1 removed, 4 entries are left" in removed.output
    assert "the index is what the rows say" in dedup("verify", bank).output
    assert "4 rows are in one search file" in dedup("compact", bank).output
    assert 0 == dedup("copy", bank, tmp_path / "b.bank").exit_code
    assert (
        "4 entries"
        in dedup("export", bank, tmp_path / "x.bank.parquet", "--licence", "mine").output
    )
    assert "licence: mine" in dedup("info", tmp_path / "x.bank.parquet").output
    assert 4 == json.loads(dedup("info", tmp_path / "b.bank", "--json").output)["entries"]


def test_rebuild_measures_all_entries_again_and_names_what_is_missing(
    bank: Path, tmp_path: Path
) -> None:
    with Bank(bank)._store.write() as connection:
        connection.execute(
            """UPDATE meta SET value = replace(value, '"canary": "', '"canary": "00')
            WHERE key = 'info'"""
        )
        connection.execute("UPDATE entry SET codes = zeroblob(16)")
    assert 1 == dedup("add", bank, tmp_path / "in", *INLINE).exit_code
    (tmp_path / "in/3.png").unlink()

    refused = dedup("rebuild", bank, "--from", tmp_path / "in", *INLINE)
    rebuilt = dedup("rebuild", bank, "--from", tmp_path / "in", "--drop-missing", *INLINE)

    assert (1, 0) == (refused.exit_code, rebuilt.exit_code)
    assert "1 of 4 entries" in refused.output
    with Bank(bank) as opened:
        assert ["0.png", "1.png", "2.png"] == [entry.id for entry in opened.entries()]
        assert "2.png" == opened.check(edited(encoded(photo(2)))).matches[0].id
        assert opened.verify().is_whole


def test_keys_are_made_listed_and_revoked(bank: Path) -> None:
    key = dedup("keys", "add", bank, "uploads", "--scope", "check,submit").output.strip()

    assert key.startswith("dk_")
    assert 0 == dedup("keys", "revoke", bank, "uploads").exit_code
    assert "uploads: check, submit, revoked\n" == dedup("keys", "list", bank).output
    assert 2 == dedup("keys", "add", bank, "y", "--scope", "root").exit_code


def test_what_is_not_a_bank_is_said_with_exit_code_1(tmp_path: Path) -> None:
    result = dedup("check", tmp_path, "x.jpg")

    assert (1, True) == (result.exit_code, "is not a bank" in " ".join(result.output.split()))
