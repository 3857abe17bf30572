"""Copies of one picture that are annotated with other boxes, though with the same labels."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from dedup.tables import TRANSFORMS
from dedup.tables.drawn import BOXES, differ


@dataclass(frozen=True, slots=True)
class DrawnOtherwise:
    """Pairs of one label whose boxes differ."""

    n_pairs: int
    first: tuple[str, str] | None  # ids

    def warnings(self) -> list[str]:
        """What to know of them, where there are any."""
        if self.first is None:
            return []

        pairs = (
            "1 pair of copies has"
            if self.n_pairs == 1
            else f"{self.n_pairs:,} pairs of copies have"
        )
        a, b = map(repr, self.first)
        message = (
            f"{pairs} the same labels and other boxes, the first is {a} and {b}. Which copy is kept"
            " says nothing of whose boxes are right: compare their annotations."
        )

        return [message]


def drawn_otherwise(pairs: pa.Table, manifest: pa.Table) -> DrawnOtherwise:
    """Pairs of upright copies of the whole picture, whose boxes can be compared as they are."""
    same_place = pc.and_(pc.equal(pairs["transform"], TRANSFORMS[0]), pc.is_null(pairs["unframed"]))
    compared = pairs.filter(pc.and_(same_place, pc.invert(pairs["label_conflict"])))
    drawn = manifest["distinct"].combine_chunks()
    one, other = (drawn.take(compared[side].combine_chunks()) for side in ("a", "b"))
    compared = compared.append_column("one", one).append_column("other", other)
    compared = compared.filter(
        pc.fill_null(pc.not_equal(compared["one"], compared["other"]), False)
    )

    start = f"{BOXES}="
    found = [
        (row["id_a"], row["id_b"])
        for row in compared.select(["id_a", "id_b", "one", "other"]).to_pylist()
        if row["one"].startswith(start)
        and row["other"].startswith(start)
        and differ(row["one"].removeprefix(start), row["other"].removeprefix(start))
    ]

    return DrawnOtherwise(len(found), min(found, default=None))
