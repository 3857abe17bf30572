"""Pictures of the same scene, of other colours and in frames, through whole runs."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import skimage.data
from PIL import Image, ImageOps

import dedup
from dedup import pipeline, tables
from dedup.config import build
from dedup.decoding.contents import PAYLOAD
from dedup.hashers import look_work
from dedup.hashers.quality import quality
from dedup.runs.result import Run
from dedup.verify import second_look
from dedup.verify.second_look import Looks, PairsBar, looked
from tests import pictures


def ran(root: Path, out: Path | None = None, **verify: Any) -> Run:
    settings = {
        "dataset": {"path": str(root)},
        "verify": verify,
        "search": {"max_distance": 24},
        "engine": {"workers": 0},
        "cache": {"folder": None},
        "output": {
            "dir": None if out is None else str(out),
            "splits": "none" if out is None else "same",
        },
    }
    return pipeline.run(build(settings))


def named(run: Run) -> dict[tuple[str, str], dict[str, Any]]:
    """Pairs by the names of their files, in alphabetical order."""
    found = {}
    for row in run.pairs.to_pylist():
        one, two = sorted((Path(row["id_a"]).stem, Path(row["id_b"]).stem))
        found[one, two] = row
    return found


@pytest.fixture(scope="module")
def stereo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two frames of one scene, and edited copies of the left one."""
    root = tmp_path_factory.mktemp("stereo")
    left, right, _ = skimage.data.stereo_motorcycle()
    picture = Image.fromarray(left).resize((400, 270))
    pictures.save(picture, root / "train" / "x" / "left.png")
    pictures.save(Image.fromarray(right).resize((400, 270)), root / "test" / "x" / "right.png")
    pictures.save(picture, root / "train" / "x" / "left_jpeg.jpg", quality=50)
    pictures.save(picture.crop((12, 8, 388, 262)), root / "train" / "x" / "left_crop.png")
    red, green, blue = picture.split()
    pictures.save(Image.merge("RGB", (blue, red, green)), root / "train" / "x" / "left_other.png")
    return root


class TestSameScene:
    def test_another_frame_is_no_pair(self, stereo: Path) -> None:
        """The other eye's view is similar on its thumbnail and is left out; the edited copies are
        pairs.
        """
        found = named(ran(stereo))

        assert ("left", "right") not in found
        assert {("left", "left_crop"), ("left", "left_jpeg")} <= set(found)
        assert all(
            found["left", other]["close_similarity"] >= 0.91 for other in ("left_crop", "left_jpeg")
        )

    def test_it_is_one_by_thumbnails(self, stereo: Path) -> None:
        """Without the second look it would be a pair, and nothing is said of colours."""
        found = named(ran(stereo, second_look=False, min_similarity=0.8))

        assert found["left", "right"]["close_similarity"] is None
        assert all(row["colour_differs"] is None for row in found.values())

    def test_decide_moves_the_threshold(self, stereo: Path, tmp_path: Path) -> None:
        """`decide` takes the same scene for the same picture if it is told to, and equals a full
        run then.
        """
        first = ran(stereo, tmp_path / "run", min_similarity=0.8)
        assert ("left", "right") not in named(first)
        assert first.summary["certificate"]["clean"]

        again = pipeline.decide(tmp_path / "run", ["verify.min_close_similarity=0"])
        full = ran(stereo, min_similarity=0.8, min_close_similarity=0)

        assert named(again) == named(full)
        assert named(again)["left", "right"]["close_similarity"] < 0.6

    def test_the_certificate_knows_it(self, stereo: Path, tmp_path: Path) -> None:
        """Two frames of one scene on both sides of a split are no leak of what was written."""
        run = ran(stereo, tmp_path / "run", min_similarity=0.8)

        assert run.summary["certificate"]["train_held_out_pairs"] == 0
        assert 2 <= run.summary["certificate"]["samples"]

    def test_the_report_says_so(self, stereo: Path, tmp_path: Path) -> None:
        """The gallery of rejected candidates tells the same scene from what is not similar
        enough.
        """
        ran(stereo, tmp_path / "run", min_similarity=0.8)

        assert (
            "the same scene, not the same picture" in (tmp_path / "run" / "report.html").read_text()
        )

    def test_what_was_not_looked_at_cannot_be_decided(self, stereo: Path, tmp_path: Path) -> None:
        """A second look needs the pictures: `decide` refuses to turn it on."""
        ran(stereo, tmp_path / "run", second_look=False)

        with pytest.raises(dedup.DedupError, match=r"verify\.second_look"):
            pipeline.decide(tmp_path / "run", ["verify.second_look=true"])


class TestColour:
    def test_other_colours(self, stereo: Path) -> None:
        """A recoloured copy is a pair with other colours, a JPEG is one with the same."""
        found = named(ran(stereo, min_similarity=0.5, min_close_similarity=0.0))

        assert found["left", "left_other"]["colour_differs"] is True
        assert found["left", "left_jpeg"]["colour_differs"] is False

    def test_a_picture_that_is_gone(self) -> None:
        """What cannot be read any more stays null, and the others are looked at."""
        no = np.zeros(2, np.uint8)
        part = pa.table(
            [
                [0, 1],
                [2, 2],
                no,
                [0, 0],
                pa.array([0.9, 0.9], pa.float32()),
                no,
                *tables.not_looked_at(2),
            ],
            schema=tables.candidates_schema(["dhash"]),
        )
        grey = pictures.photo(1).convert("L").resize((128, 128)).tobytes()
        seen_quality = quality(pictures.photo(1)).to_bytes()

        def see(samples: Any) -> Any:
            assert list(samples) == [0, 1, 2]
            columns = {
                "row": pa.array([0, 1, 2], pa.int64()),
                "side": pa.array([128, None, 128], pa.int32()),
                "grey": pa.array([grey, None, grey], pa.binary()),
                "chroma": pa.array([bytes(512), None, bytes(512)], pa.binary()),
                "quality": pa.array([seen_quality, None, seen_quality], pa.binary()),
            }
            yield pa.record_batch(columns)

        looks = Looks()
        (seen,) = looked(iter([part]), see, np.zeros((3, 1024), np.uint8), looks, threads=1)

        assert seen["close_similarity"].to_pylist() == [pytest.approx(1.0, abs=1e-3), None]
        assert seen["colour_differs"].to_pylist() == [False, None]
        assert (looks.pairs, looks.compared, looks.pictures) == (2, 1, 3)


class TestHowMuchAtOnce:
    def test_what_is_kept_changes_nothing(
        self, stereo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Looked at pair by pair, with one picture kept, and a picture in a frame among them: the
        same candidates.
        """
        for path in stereo.glob("*/x/*"):
            pictures.save(Image.open(path), tmp_path / path.relative_to(stereo))
        framed = ImageOps.expand(Image.open(stereo / "train" / "x" / "left.png"), 25, "black")
        pictures.save(framed, tmp_path / "test" / "x" / "framed.png")
        together = ran(tmp_path, min_similarity=0.5)
        for name, n in (("_PAIRS_AT_ONCE", 1), ("_GIVEN_AT_ONCE", 1), ("_KEPT", 1)):
            monkeypatch.setattr(second_look, name, n)
        one_by_one = ran(tmp_path, min_similarity=0.5)

        assert sum(row["unframed"] != 0 for row in together.candidates.to_pylist()) > 1
        assert one_by_one.candidates.equals(together.candidates)

    def test_small_pictures(self, tmp_path: Path) -> None:
        """Of a picture that is too small to be compared only the colours are seen, and the side
        says why.
        """
        pictures.save(pictures.photo(1).resize((95, 60)), tmp_path / "small.png")
        pictures.save(pictures.photo(1).resize((96, 60)), tmp_path / "large.png")
        paths = [str(tmp_path / name).encode() for name in ("small.png", "large.png")]
        batch = pa.record_batch([[0, 1], paths, [None, None]], schema=PAYLOAD)
        seen = look_work.start({"max_pixels": 10**6, "background": "white"})(batch).to_pylist()

        assert [row["side"] for row in seen] == [95, 96]
        assert [row["grey"] is None for row in seen] == [True, False]
        assert all(len(row["chroma"]) == 512 for row in seen)


class TestFrames:
    @pytest.mark.parametrize("colour", ["black", "white"])
    @pytest.mark.parametrize("share", [0.03, 0.05, 0.1])
    def test_a_border_on_each_side(self, tmp_path: Path, colour: str, share: float) -> None:
        """A copy inside a uniform border is found; the pair says whose frame it was."""
        photo = Image.fromarray(skimage.data.chelsea())
        width = round(share * photo.width)
        pictures.save(photo, tmp_path / "train" / "x" / "a.png")
        pictures.save(ImageOps.expand(photo, width, colour), tmp_path / "train" / "x" / "b.png")
        pictures.save(Image.fromarray(skimage.data.coffee()), tmp_path / "train" / "x" / "c.png")
        settings = {
            "dataset": {"path": str(tmp_path)},
            "engine": {"workers": 0},
            "cache": {"folder": None},
        }
        run = pipeline.run(build(settings | {"output": {"dir": None}}))
        (pair,) = run.pairs.to_pylist()

        assert (Path(pair["id_a"]).stem, Path(pair["id_b"]).stem) == ("a", "b")
        assert pair["unframed"] in {"b", None}
        if share > 0.03:
            assert pair["unframed"] == "b"

    def test_mirrored_and_framed(self, tmp_path: Path) -> None:
        """A mirrored copy in a frame is found where mirrored copies are searched."""
        photo = Image.fromarray(skimage.data.chelsea())
        pictures.save(photo, tmp_path / "data" / "train" / "x" / "a.png")
        framed = ImageOps.expand(ImageOps.mirror(photo), round(0.06 * photo.width), "black")
        pictures.save(framed, tmp_path / "data" / "test" / "x" / "b.png")
        settings = {
            "dataset": {"path": str(tmp_path / "data")},
            "search": {"orientations": "mirrored"},
            "engine": {"workers": 0},
            "cache": {"folder": None},
            "output": {"dir": str(tmp_path / "run"), "splits": "same"},
        }
        run = pipeline.run(build(settings))
        (pair,) = run.pairs.to_pylist()

        assert pair["transform"] == "mirror"
        assert pair["unframed"] == "a" if "b" in pair["id_a"] else "b"
        assert run.summary["certificate"]["clean"]
        assert run.summary["certificate"]["samples"] == 1

    def test_both_sides_kept_is_a_leak(self, tmp_path: Path) -> None:
        """The certificate counts a framed copy that a policy leaves in train."""
        photo = Image.fromarray(skimage.data.chelsea())
        pictures.save(photo, tmp_path / "data" / "train" / "x" / "a.png")
        pictures.save(
            ImageOps.expand(photo, 25, "black"), tmp_path / "data" / "test" / "x" / "b.png"
        )
        settings = {
            "dataset": {"path": str(tmp_path / "data")},
            "policy": {"leakage": "report_only", "duplicates": "report_only"},
            "engine": {"workers": 0},
            "cache": {"folder": None},
            "output": {"dir": str(tmp_path / "run"), "splits": "same"},
        }
        run = pipeline.run(build(settings))

        assert run.pairs["unframed"].to_pylist() in (["a"], ["b"])
        assert run.summary["certificate"]["train_held_out_pairs"] == 1


class TestCompare:
    """`compare` says what a run with default settings says."""

    def test_the_same_scene(self, stereo: Path) -> None:
        """Two frames of one scene are told from one picture."""
        found = dedup.compare(
            stereo / "train" / "x" / "left.png", stereo / "test" / "x" / "right.png"
        )

        assert found.kind is None
        assert found.close_similarity is not None
        assert found.close_similarity < 0.6
        same_scene = replace(found, similarity=0.9)
        assert same_scene.kind is None
        assert "the same scene, not the same picture" in same_scene.verdict()

    def test_without_a_frame(self) -> None:
        """A copy in a frame is a pair, and the verdict says whose frame it was."""
        photo = Image.fromarray(skimage.data.chelsea())
        framed = ImageOps.expand(photo, round(0.06 * photo.width), "black")
        found = dedup.compare(pictures.encoded(photo), pictures.encoded(framed))

        assert (found.kind, found.unframed) == ("near", "b")
        assert "b without its frame" in found.verdict()

    def test_other_colours(self) -> None:
        """A grey copy is near, in other colours."""
        photo = Image.fromarray(skimage.data.chelsea())
        found = dedup.compare(pictures.encoded(photo), pictures.encoded(photo.convert("L")))

        assert (found.kind, found.colour_differs) == ("near", True)


def test_a_bar_never_goes_back_and_ends_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """While candidates come in parts, one of which has nothing to look at."""
    monkeypatch.setattr(second_look, "_PAIRS_AT_ONCE", 1)
    told: list[float] = []
    bar = PairsBar(told.append, looks=True)
    no = np.zeros(2, np.uint8)

    def parts() -> Iterator[pa.Table]:
        bar.joined(0.5)
        for n, similarity in ((2, 0.9), (4, 0.1), (6, 0.9)):
            bar.compared(n, 6)
            yield pa.table(
                [
                    [0, 0],
                    [1, 2],
                    no,
                    [0, 0],
                    pa.array([similarity] * 2, pa.float32()),
                    no,
                    *tables.not_looked_at(2),
                ],
                schema=tables.candidates_schema(["dhash"]),
            )

    def see(samples: Any) -> Any:
        n = len(samples)
        nothing = [
            pa.nulls(n, kind) for kind in (pa.int32(), pa.binary(), pa.binary(), pa.binary())
        ]
        yield pa.record_batch(
            [pa.array(samples, pa.int64()), *nothing],
            names=["row", "side", "grey", "chroma", "quality"],
        )

    thumbnails = np.zeros((3, 1024), np.uint8)
    list(looked(parts(), see, thumbnails, Looks(), threads=1, progress=bar.looked))

    assert told == sorted(told)
    done = [(0, 0), (2, 0), (2, 1), (2, 2), (4, 2), (4, 4), (6, 4), (6, 5), (6, 6)]
    expected = [
        0.02 + 0.98 * (0.3 * compared + 0.7 * looked_at) / 6 for compared, looked_at in done[1:]
    ]
    assert told == pytest.approx([0.01, *expected])
