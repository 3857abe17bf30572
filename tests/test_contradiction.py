"""What two pictures contradict each other in, and what an agreement of two pictures is worth."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from dedup.hashers.close_views import close_view
from dedup.verify import contradiction as contradictions
from dedup.verify import determinacy as determinacies
from dedup.verify import similarities
from dedup.verify.closer import close_similarities
from tests import pictures
from tests.kernels import callable_kernel

contradiction = callable_kernel(contradictions.contradiction)
determinacy = callable_kernel(determinacies.determinacy)
determined = callable_kernel(determinacies.determined)
worth = callable_kernel(determinacies.worth)

SIDE = 128


def grey(image: Image.Image) -> NDArray[np.float32]:
    small = image.convert("L").resize((SIDE, SIDE)).filter(ImageFilter.GaussianBlur(0.8))
    return np.asarray(small, np.float32)


def contradicted(one: Image.Image, two: Image.Image) -> float:
    return float(contradiction(grey(one), grey(two), np.ones((SIDE, SIDE), np.float32), 16, 1))


def scene(x: int) -> Image.Image:
    """A room in which an arm stands at x."""
    image = pictures.photo(3, size=(256, 256)).convert("RGB")
    draw = ImageDraw.Draw(image)
    draw.rectangle((40, 60, 216, 200), fill="white")
    draw.line((128, 170, x, 90), fill="black", width=9)
    return image


class TestContradiction:
    def test_what_moved_is_one(self) -> None:
        """An arm that moved is missing here and new there."""
        assert contradicted(scene(70), scene(180)) > 0.01
        assert contradicted(scene(70), scene(70)) == 0.0

    @pytest.mark.parametrize("turned", [False, True])
    def test_what_was_taken_away_is_none(self, turned: bool) -> None:
        """Blurred, or without its contrast or an arm, a picture shows less and nothing else,
        whichever is first.
        """
        whole = scene(70)
        empty = whole.copy()
        ImageDraw.Draw(empty).rectangle((40, 60, 216, 200), fill="white")
        for less in (
            whole.filter(ImageFilter.GaussianBlur(2)),
            whole.point(lambda v: 96 + v // 4),
            empty,
        ):
            pair = (less, whole) if turned else (whole, less)

            assert contradicted(*pair) < 0.002

    def test_one_stamp_hides_what_was_there(self) -> None:
        """A box in a corner is an edit, the same box in the middle is another picture."""
        whole = pictures.photo(3, size=(256, 256)).convert("RGB")
        found = []
        for x, y in ((0, 0), (90, 110)):
            stamped = whole.copy()
            ImageDraw.Draw(stamped).rectangle((x, y, x + 76, y + 30), fill="white")
            draw = ImageDraw.Draw(stamped)
            for k in range(0, 70, 8):
                draw.line((x + k, y + 4, x + k + 4, y + 26), fill="black", width=3)
            found.append(contradicted(whole, stamped))

        assert found[0] < 0.002
        assert found[1] > 0.01


def edge(degrees: float) -> Any:
    """A straight edge through the middle."""
    y, x = np.mgrid[:32, :32] - 15.5
    along = x * np.sin(np.radians(degrees)) - y * np.cos(np.radians(degrees))
    return np.clip(128 + 60 * along, 20, 230).astype(np.uint8)


def agreement_counts(one: NDArray[np.uint8], two: NDArray[np.uint8]) -> float:
    """What an agreement of two thumbnails is worth."""
    return float(determined(one, two, worth(one), worth(two)))


class TestDeterminacy:
    def test_a_straight_edge_fixes_nothing(self) -> None:
        """Any straight edge can be laid over any other, so their agreement is worth little; that of
        photos all.
        """
        photo = np.asarray(pictures.photo(3).convert("L").resize((32, 32)))
        other = np.asarray(pictures.photo(4).convert("L").resize((32, 32)))

        assert all(determinacy(edge(degrees))[0] < 0.06 for degrees in (0, 20, 45, 90))
        assert determinacy(photo)[0] > 0.12
        assert agreement_counts(edge(20), edge(25)) < 0.9
        assert agreement_counts(photo, other) == 1.0

    def test_the_same_pixels_count_in_full(self) -> None:
        """A JPEG of a straight edge is still the same picture."""
        noise = np.random.default_rng(1).integers(-1, 2, (32, 32))

        assert agreement_counts(edge(20), (edge(20) + noise).astype(np.uint8)) == 1.0

    def test_specks_are_not_the_same_pixels(self) -> None:
        """White with a speck and white with another speck differ by less than a JPEG leaves, and
        are two pictures.
        """
        one, two = np.full((32, 32), 255, np.uint8), np.full((32, 32), 255, np.uint8)
        one[28:30, 27:29] = two[30:32, 29:31] = 225

        assert np.sqrt(((one.astype(float) - two) ** 2).mean()) < 3
        assert agreement_counts(one, two) < 0.9
        assert agreement_counts(one, one) == 1.0

    def test_two_edges_are_no_pair(self) -> None:
        """Aligned, two straight edges agree everywhere, and are not similar enough by their
        thumbnails.
        """
        both = np.stack([edge(20), edge(24)]).reshape(2, -1)

        assert similarities(both, np.array([0]), np.array([1]))[0] < 0.87

    @pytest.mark.parametrize("negative", [False, True])
    def test_the_poorer_of_the_two_counts(self, negative: bool) -> None:
        """An edge agrees with a photo that hardly shows beside the same edge, and is no pair with
        it for that.

        Which thumbnail comes first is decided by their pixels, so in their negatives it is the
        other way round.
        """
        faint = np.asarray(pictures.photo(5).convert("L").resize((32, 32)), np.float64) - 128
        one, two = edge(20), np.clip(edge(20) + 0.1 * faint, 0, 255).astype(np.uint8)
        assert worth(one) < 0.2
        assert worth(two) == 1.0

        both = np.stack([255 - one, 255 - two] if negative else [one, two]).reshape(2, -1)
        assert similarities(both, np.array([0]), np.array([1]))[0] < 0.2


@pytest.mark.parametrize("kernel", [Image.Resampling.BOX, Image.Resampling.BILINEAR])
def test_another_filter_made_the_thumbnail(kernel: Image.Resampling) -> None:
    """A crop, shrunk by another filter, is softer or sharper than the thumbnail of the whole; that
    costs little.
    """
    photos = [pictures.photo(k, size=(256, 192)) for k in range(12)]
    wholes = [
        np.asarray(photo.convert("L").resize((32, 32), Image.Resampling.LANCZOS))
        for photo in photos
    ]
    crops = [
        np.asarray(photo.crop((13, 10, 243, 182)).convert("L").resize((32, 32), kernel))
        for photo in photos
    ]
    both = np.stack(wholes + crops).reshape(24, -1)

    assert np.median(similarities(both, np.arange(12), np.arange(12, 24))) > 0.95


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["menorah/image_0058.jpg", "starfish/image_0073.jpg"])
def test_either_of_them_may_be_the_crop(shared_data: Path, name: str) -> None:
    """Simple shapes fix too little of the map when the crop is shrunk over the whole; enlarged, it
    is found.

    Which picture is laid over which is decided by their pixels, so in their negatives it is the
    other way round.
    """
    with Image.open(shared_data / "caltech101/images" / name) as opened:
        whole = opened.convert("L")
    width, height = whole.size
    crop = whole.crop((width // 20, height // 20, width - width // 20, height - height // 20))
    for pair in ((whole, crop), (ImageOps.invert(whole), ImageOps.invert(crop))):
        small = np.stack(
            [np.asarray(image.resize((32, 32), Image.Resampling.BILINEAR)) for image in pair]
        )
        greys = np.stack([close_view(image).grey for image in pair])

        assert similarities(small.reshape(2, -1), np.array([0]), np.array([1]))[0] > 0.87
        assert (
            close_similarities(greys, np.array([0]), np.array([1]), np.zeros(1, np.uint8))[0] > 0.91
        )


@pytest.mark.parametrize("negative", [False, True])
def test_closer_either_of_them_may_be_the_crop(negative: bool) -> None:
    """Legs of a tripod in mist: enlarged, the crop is found; the whole, shrunk over it, slips along
    them.

    Which picture is laid over which is decided by their pixels, so in their negatives it is the
    other way round.
    """
    whole = Image.fromarray(skimage.data.camera()).crop((256, 256, 512, 512))
    pair = (whole, whole.crop((20, 20, 236, 236)))
    greys = np.stack(
        [close_view(ImageOps.invert(image) if negative else image).grey for image in pair]
    )

    assert close_similarities(greys, np.array([0]), np.array([1]), np.zeros(1, np.uint8))[0] > 0.91


def test_a_rim_counts_where_nothing_was_cut() -> None:
    """What stands at the very sides is left out, but for what was inside two frames."""
    one = np.asarray(pictures.photo(3, size=(128, 128)).convert("L"))
    two = one.copy()
    two[:, :6], two[:, -6:] = one[:, 40:46], one[:, 60:66]
    greys = np.stack([one, two])
    pair = np.array([0]), np.array([1]), np.zeros(1, np.uint8)

    assert (
        close_similarities(greys, *pair)[0]
        > close_similarities(greys, *pair, rims=np.array([False]))[0]
    )


def test_closer_it_is_another_frame() -> None:
    """What moved costs more than any edit: a frame of an animation is no copy, a blurred JPEG is
    one.
    """
    views = [
        close_view(image)
        for image in (scene(70), scene(180), scene(70).filter(ImageFilter.GaussianBlur(1)))
    ]
    greys = np.stack([view.grey for view in views])
    other, copy = close_similarities(
        greys, np.array([0, 0]), np.array([1, 2]), np.zeros(2, np.uint8)
    )

    assert other < 0.91 <= copy
