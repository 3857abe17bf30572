"""Who skips the near-duplicate join: pictures whose code carries nothing, and not the plain ones
that people have.
"""

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import dedup
from tests import pictures


def audited(folder: Path) -> dedup.Run:
    return dedup.run(
        {"dataset": {"path": str(folder)}, "cache": {"folder": None}, "output": {"splits": "none"}}
    )


def test_digits_join_and_their_copies_are_found(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Handwritten digits carry information: none skips, every recompressed copy is paired with its
    source.
    """
    digits = load_digits().images[:150]
    for number, levels in enumerate(digits):
        image = Image.fromarray((levels * 15.9).astype(np.uint8)).resize(
            (32, 32), Image.Resampling.BICUBIC
        )
        pictures.save(image, tmp_path / f"train/{number:03}.png")
        if number % 5 == 0:
            pictures.save(image, tmp_path / f"test/{number:03}.jpg", quality=60)
    with caplog.at_level(logging.INFO, logger="dedup"):
        run = audited(tmp_path)

    assert len(run.hashes) == 180
    assert "hashes" in caplog.text
    assert "skip the near-duplicate join" not in caplog.text
    pairs = set(zip(run.pairs["id_a"].to_pylist(), run.pairs["id_b"].to_pylist(), strict=True))
    planted = {(f"test/{number:03}.jpg", f"train/{number:03}.png") for number in range(0, 150, 5)}
    assert planted <= pairs


@pytest.mark.parametrize(("n_blank", "level"), [(1, logging.INFO), (2, logging.WARNING)])
def test_many_that_skip_are_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, n_blank: int, level: int
) -> None:
    """One of twenty is 5 %, and no more than that; two are."""
    pictures.folder(tmp_path, [f"train/{number}.png" for number in range(20 - n_blank)])
    for number in range(n_blank):
        pictures.save(
            Image.new("RGB", (40, 40), (number, 9, 9)), tmp_path / f"train/blank{number}.png"
        )
    with caplog.at_level(logging.INFO, logger="dedup"):
        run = audited(tmp_path)

    (line,) = [
        record for record in caplog.records if "skip the near-duplicate join" in record.getMessage()
    ]
    assert level == line.levelno
    assert f"{n_blank} of 20 readable pictures" in line.getMessage()
    assert (level == logging.WARNING) == any(
        "blank, flat" in each for each in run.summary["warnings"]
    )
