"""Where an alignment begins: copies that were cut along one side, which no step from where they lie
leads to.
"""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from dedup.verify.similarity import verified

N = 60
CUT = 5  # pixels of 32, along one side


def pictures() -> NDArray[np.uint8]:
    """Fine blots with noise as of a JPEG, and the same places again, cut along one side."""
    rng = np.random.default_rng(7)
    made = []
    for _ in range(N):
        blots = Image.fromarray(rng.integers(40, 216, (14, 14), np.uint8))
        whole = np.array(blots.resize((32, 32), Image.Resampling.BICUBIC)).astype(float)
        made.append(np.clip(whole + rng.normal(0, 4, whole.shape), 0, 255).astype(np.uint8))

    return np.stack(made)


def cut(grey: NDArray[np.uint8], side: str) -> NDArray[np.uint8]:
    """Without some pixels along a side, enlarged to the whole again."""
    box = {
        "top": (0, CUT, 32, 32),
        "bottom": (0, 0, 32, 32 - CUT),
        "left": (CUT, 0, 32, 32),
        "right": (0, 0, 32 - CUT, 32),
    }[side]
    return np.array(Image.fromarray(grey).resize((32, 32), Image.Resampling.BICUBIC, box=box))


@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
def test_a_copy_that_was_cut_along_one_side_is_found(side: str) -> None:
    """Nine in ten of them; strangers, cut in the same way, are as far away as before."""
    whole = pictures()
    both = np.concatenate([whole, np.stack([cut(one, side) for one in whole])])
    here = np.arange(N)
    copies = verified(both, here, here + N).similarity
    strangers = verified(both, here, np.roll(here, 1) + N).similarity

    assert (copies >= 0.9).mean() >= 0.9
    assert strangers.max() < 0.7
