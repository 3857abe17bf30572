"""A bank as a dataset: leaks against benchmarks whose pictures are not there."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import dedup
from dedup.bank import Bank
from dedup.errors import ConfigError, DedupError
from dedup.tables import entries
from tests.bank.made import bank_of, edited, photos
from tests.pictures import encoded, folder, photo


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six photos in train; the third and the fifth are edited copies of entries 103 and 105."""
    root = folder(tmp_path / "data", [f"train/{k}.png" for k in range(6)])
    for k in (2, 4):
        (root / f"train/{k}.png").unlink()
        (root / f"train/{k}.jpg").write_bytes(edited(encoded(photo(101 + k)), quality=80))
    return root


@pytest.fixture
def benchmark(tmp_path: Path) -> Path:
    with bank_of(tmp_path / "val.bank", photos(range(100, 112))) as bank:
        bank.compact()
        bank.export(tmp_path / "val.bank.parquet")
    return tmp_path / "val.bank.parquet"


@pytest.mark.parametrize("kind", ["portable", "own"])
def test_leaks_into_a_bank_are_found_with_its_entries_as_witnesses(
    data: Path, benchmark: Path, tmp_path: Path, kind: str
) -> None:
    against = benchmark if kind == "portable" else tmp_path / "val.bank"

    run = dedup.audit(data, against=against, workers=0)

    leaks = {row["id"]: row["witness_id"] for row in run.leakage.to_pylist()}
    prefix = (
        against.name.removesuffix(".parquet").removesuffix(".bank") if kind == "own" else "val.bank"
    )
    assert {
        "data/train/2.jpg": f"{prefix}/103.png",
        "data/train/4.jpg": f"{prefix}/105.png",
    } == leaks
    assert ["signs", "signs"] == run.pairs["verified"].to_pylist()
    dropped = {row["id"] for row in run.decisions.to_pylist() if row["action"] == "drop"}
    assert set(leaks) == dropped


def test_splits_are_written_and_certified_against_a_bank(
    data: Path, benchmark: Path, tmp_path: Path
) -> None:
    sources = [{"path": str(data)}, {"path": str(benchmark), "reference": True}]
    out = tmp_path / "out"

    run = dedup.run(
        {"dataset": {"sources": sources}, "output": {"dir": str(out)}, "engine": {"workers": 0}}
    )

    kept = sorted(
        path.name for path in (out / "splits").rglob("*.*g") if path.suffix in {".png", ".jpg"}
    )
    assert ["0.png", "1.png", "3.png", "5.png"] == kept
    assert (True, 16) == (
        run.summary["certificate"]["clean"],
        run.summary["certificate"]["samples"],
    )


def test_the_same_leaks_are_found_as_with_the_pictures_of_the_benchmark(
    data: Path, benchmark: Path, tmp_path: Path
) -> None:
    pictures = tmp_path / "val"
    pictures.mkdir()
    for name, content in photos(range(100, 112)).items():
        (pictures / name).write_bytes(content)

    with_pictures = dedup.audit(data, against=[pictures], workers=0)
    with_bank = dedup.audit(data, against=[benchmark], workers=0)

    def found(run: dedup.Run) -> dict[str, str]:
        return {row["id"]: row["witness_id"].rpartition("/")[2] for row in run.leakage.to_pylist()}

    assert found(with_pictures) == found(with_bank)


def test_a_bank_alone_is_searched_for_duplicates_among_its_entries(tmp_path: Path) -> None:
    pictures = photos(range(5))
    pictures["copy.jpg"] = edited(pictures["003.png"], quality=90)
    bank_of(tmp_path / "shop.bank", pictures).close()

    run = dedup.audit(tmp_path / "shop.bank", verify={"min_similarity": 0.8}, workers=0)

    assert [("003.png", "copy.jpg")] == [
        (row["id_a"], row["id_b"]) for row in run.pairs.to_pylist()
    ]


def test_small_entries_of_a_bank_of_ones_own_are_verified_by_thumbnails(tmp_path: Path) -> None:
    bank_of(tmp_path / "val.bank", photos(range(6), (40, 30))).close()
    root = tmp_path / "data"
    (root / "train").mkdir(parents=True)
    (root / "train/a.png").write_bytes(
        encoded(Image.open(BytesIO(photos([2], (40, 30))["002.png"])).resize((44, 33)))
    )

    run = dedup.audit(root, against=tmp_path / "val.bank", workers=0)

    assert [("thumbnails", "val/002.png")] == [
        (r["verified"], r["id_b"]) for r in run.pairs.to_pylist()
    ]


def test_other_codes_and_turned_pictures_are_refused(data: Path, benchmark: Path) -> None:
    with pytest.raises(ConfigError, match=r"hash.bits: 256, not 64"):
        dedup.audit(data, against=benchmark, bits=256, workers=0)
    with pytest.raises(ConfigError, match=r"no codes of turned pictures"):
        dedup.audit(data, against=benchmark, orientations="mirrored", workers=0)


@pytest.mark.parametrize("n_bytes", [0, 100, 3000])
def test_a_broken_portable_bank_is_named(data: Path, benchmark: Path, n_bytes: int) -> None:
    benchmark.write_bytes(benchmark.read_bytes()[:n_bytes])

    with pytest.raises(DedupError, match=r"val.bank.parquet"):
        dedup.audit(data, against=benchmark, workers=0)


def drifted(path: Path, flips: int) -> None:
    """The bank as others would have made it: every code differs in so many bits, those of the
    canaries too.
    """
    info, table = entries.read_portable(path)

    def flip(code: bytes) -> bytes:
        return bytes([code[0] ^ ((1 << flips) - 1), *code[1:]]) if code else b""

    codes = {name: [flip(code) for code in of] for name, of in info.canary_codes.items()}
    for name in info.spec.algorithms:
        place = table.column_names.index(name)
        values = pa.array(
            [flip(code) for code in table[name].to_pylist()], table.schema.field(place).type
        )
        table = table.set_column(place, table.schema.field(place), values)
    text = replace(info, canary_codes=codes, canary="other").to_json()
    pq.write_table(table.replace_schema_metadata({entries.METADATA: text.encode()}), path)


def test_a_bank_of_other_decoders_is_searched_further_and_says_so(
    data: Path, benchmark: Path, caplog: pytest.LogCaptureFixture
) -> None:
    exact: Any = {"search": {"max_distance": 6}, "workers": 0}
    expected = dedup.audit(data, against=benchmark, **exact).leakage["id"].to_pylist()
    drifted(benchmark, 3)

    run = dedup.audit(data, against=benchmark, **exact)

    assert expected == run.leakage["id"].to_pylist()
    assert {"dhash": 9, "phash": 9} == run.summary["resolved"]["max_distance"]
    assert "differ by up to 3 bits here, so the search goes 3 bits further" in caplog.text
    assert 19 == Bank(benchmark).info()["max_distance"]


def test_a_bank_of_decoders_too_far_apart_is_refused(data: Path, benchmark: Path) -> None:
    drifted(benchmark, 4)

    with pytest.raises(DedupError, match=r"differ by up to 4 bits, and at most 3"):
        dedup.audit(data, against=benchmark, workers=0)
    with pytest.raises(DedupError, match=r"differ by up to 4 bits, and at most 3"):
        Bank(benchmark)
