"""The schemas of the tables."""

from dedup import tables


def test_columns_that_must_not_be_null() -> None:
    """Every schema forbids nulls where a row would make no sense."""
    required = {
        "pairs": (
            tables.pairs_schema(["dhash"]),
            ("a", "b", "id_a", "id_b", "kind", "label_conflict"),
        ),
        "hashes": (tables.hashes_schema({"dhash": 8}), ("sample", "status")),
        "decisions": (tables.DECISIONS, ("sample", "id", "action", "reason")),
        "leakage": (tables.LEAKAGE, ("id", "witness_id", "kind")),
        "groups": (tables.GROUPS, ("group", "sample", "id", "keeper")),
    }
    for schema, names in required.values():
        assert not any(schema.field(name).nullable for name in names)
