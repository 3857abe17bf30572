"""Further columns: what a dataset says of its samples beside id, split and label, for a writer of
another form.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import islice, repeat
from typing import Any, Final

import pyarrow as pa

from dedup.formats.texts import as_text

Row = Mapping[str, Any]

_ROWS_AT_ONCE: Final = 10_000


@dataclass(frozen=True, slots=True)
class Further:
    """Columns that other forms can hold: texts, numbers, times, and lists and structs of them."""

    schema: pa.Schema
    # of all samples, in the order of the source; may go on after them
    rows: Callable[[], Iterator[Row]]
    left: Sequence[str] = ()  # columns that only the source's own form can hold


NOTHING: Final = Further(pa.schema([]), lambda: repeat({}))


def inferred(names: Sequence[str], rows: Callable[[], Iterator[Row]]) -> Further:
    """Columns whose types are told by their values, as JSON has no schema. Values of several types
    become texts.
    """
    # no other form can hold such a name
    odd = [name for name in names if name and as_text(name) != name]
    names = [name for name in names if name not in odd]
    types: dict[str, pa.DataType] = {}
    every = rows()

    while some := list(islice(every, _ROWS_AT_ONCE)):
        for name in names:
            values = [row.get(name) for row in some]
            types[name] = _common(types.get(name, pa.null()), _type_of(values))

    fields = [
        (name, pa.string() if pa.types.is_null(types.get(name, pa.null())) else types[name])
        for name in names
    ]

    return _as_declared(pa.schema(fields), rows, [as_text(name) or name for name in odd])


def of_schema(
    schema: pa.Schema,
    rows: Callable[[], Iterator[Row]],
    left: Sequence[str] = (),
    names: Mapping[str, Any] = {},
) -> Further:
    """Columns with types: those with bytes in them are `left`; `names` has for some a function from
    value to text.
    """
    fields, others = [], [*left]
    for field in schema:
        if field.name in names:
            fields.append(pa.field(field.name, pa.string()))
        elif is_plain(field.type):
            fields.append(pa.field(field.name, _decoded(field.type)))
        else:
            others.append(field.name)

    def named() -> Iterator[Row]:
        for row in rows():
            yield {**row, **{column: text(row.get(column)) for column, text in names.items()}}

    return Further(pa.schema(fields), named if names else rows, others)


def united(parts: Sequence[Further], rows: Callable[[], Iterator[Row]]) -> Further:
    """The columns of several tables, in the order in which they come first."""
    types: dict[str, pa.DataType] = {}
    for field in (field for part in parts for field in part.schema):
        types[field.name] = _common(types.get(field.name, pa.null()), field.type)

    left = list(dict.fromkeys(name for part in parts for name in part.left))

    return _as_declared(pa.schema(list(types.items())), rows, left)


def is_plain(kind: pa.DataType) -> bool:
    """Whether every form can hold such values: there are no bytes in them, and nothing that only
    one library knows.
    """
    if isinstance(kind, pa.BaseExtensionType) or pa.types.is_union(kind) or pa.types.is_map(kind):
        return False
    if pa.types.is_struct(kind):
        return kind.num_fields > 0 and all(is_plain(field.type) for field in kind)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return is_plain(kind.value_type)
    if pa.types.is_dictionary(kind):
        return is_plain(kind.value_type)

    return not (
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def written_names(
    columns: Sequence[str], taken: Set[str], *, no_files: bool = False
) -> dict[str, str]:
    """How further columns are called where some names are taken: `source_label` for one called
    `label`.

    With `no_files` none ends in `file_name`: an image folder takes such columns for names of
    images.
    """
    found: dict[str, str] = {}
    used = {*taken, *columns}
    for column in columns:
        name = column
        if no_files and name.endswith("file_name"):
            name = f"{name.removesuffix('file_name')}filename"
        while (name != column and name in used) or name in taken or name in found.values():
            name = f"source_{name}"
        found[column] = name

    return found


def as_json(value: Any) -> Any:
    """A value that JSON can hold: what it has no word for becomes text."""
    return json.loads(json.dumps(value, default=str))


def as_cell(value: Any) -> str:
    """A value in a CSV file; lists and structs as JSON, null as nothing."""
    if isinstance(value, list | dict):
        return as_text(json.dumps(value, default=str, ensure_ascii=False)) or ""
    return as_text(value) or ""


def _as_declared(
    schema: pa.Schema, rows: Callable[[], Iterator[Row]], left: Sequence[str] = ()
) -> Further:
    texts = [field.name for field in schema if pa.types.is_string(field.type)]

    def told() -> Iterator[Row]:
        for row in rows():
            yield {**row, **{name: _text(row.get(name)) for name in texts}}

    return Further(schema, told, left)


def _text(value: Any) -> str | None:
    return as_text(
        json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict | bool) else value
    )


def _type_of(values: Iterable[Any]) -> pa.DataType:
    try:
        kind = pa.array(values).type
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError, OverflowError):
        return pa.string()
    return kind if is_plain(kind) else pa.string()


def _common(one: pa.DataType, two: pa.DataType) -> pa.DataType:
    schemas = [pa.schema([("", one)]), pa.schema([("", two)])]
    try:
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.string()


def _decoded(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
