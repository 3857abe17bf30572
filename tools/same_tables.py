"""Whether two folders of runs hold the same tables: `python tools/same_tables.py A B`.

Every Parquet table below A must be below B under the same name, with the same schema and the same
values; with `--bytes` the files must be equal to the last byte, metadata included. A table that is
a folder of parts is compared as one table. Exit code 1 and one line for each difference.
"""

import argparse
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def tables_below(folder: Path) -> dict[str, Path]:
    """The tables of the runs below a folder by their relative name; written splits are no
    tables.
    """
    found = {}

    for run in folder.rglob("run.json"):
        for path in run.parent.glob("*.parquet"):
            found[str(path.relative_to(folder))] = path

    return found


def files_of(table: Path) -> list[Path]:
    """The files of a stored table, in order."""
    return sorted(table.glob("*.parquet")) if table.is_dir() else [table]


def read(table: Path) -> pa.Table:
    """A stored table without its metadata."""
    parts = [pq.read_table(file) for file in files_of(table)]
    return pa.concat_tables(parts).replace_schema_metadata(None).combine_chunks()


def difference(one: Path, two: Path, *, to_the_byte: bool) -> str | None:
    """What differs between two stored tables, or None."""
    if to_the_byte:
        same = [f.read_bytes() for f in files_of(one)] == [f.read_bytes() for f in files_of(two)]
        return None if same else "the bytes differ"

    first, second = read(one), read(two)
    if first.schema != second.schema:
        return f"the schemas differ: {first.schema} and {second.schema}"
    if len(first) != len(second):
        return f"{len(first):,} and {len(second):,} rows"

    columns = [name for name in first.column_names if not first[name].equals(second[name])]
    # Arrow says that NaN is not NaN; the same bytes are the same values here.
    other = [
        name
        for name in columns
        if first[name].to_pylist().__repr__() != second[name].to_pylist().__repr__()
    ]
    return f"the values of {', '.join(other)} differ" if other else None


def main() -> int:
    """Compare two folders."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("a", type=Path)
    parser.add_argument("b", type=Path)
    parser.add_argument("--bytes", action="store_true", help="compare files, metadata included")
    arguments = parser.parse_args()
    one, two = tables_below(arguments.a), tables_below(arguments.b)

    if not one:
        print(f"There is no run below {arguments.a}.")
        return 1

    problems = [f"{name}: only in one of them" for name in sorted(one.keys() ^ two.keys())]
    for name in sorted(one.keys() & two.keys()):
        found = difference(one[name], two[name], to_the_byte=arguments.bytes)
        if found is not None:
            problems.append(f"{name}: {found}")

    print("\n".join(problems) or f"{len(one)} tables are the same.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
