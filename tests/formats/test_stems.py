"""What is left of a file name without its suffix."""

import os

from hypothesis import given
from hypothesis import strategies as st

from dedup.formats.stems import stem_of


@given(st.text("ab.é -", max_size=9))
def test_a_stem_is_what_the_system_says(name: str) -> None:
    """Faster than `os.path.splitext`, and the same for every name that a file can have."""
    assert stem_of(name) == os.path.splitext(name)[0]  # noqa: PTH122  # `Path` has others
