"""Where the samples come from."""

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool
from pydantic import model_validator as check

from dedup.config.names import SOURCES
from dedup.config.splits import normal_split
from dedup.config.values import Section, as_names, as_pattern, as_texts, member_of, one_of


class SourceConfig(Section):
    """Where the samples of one dataset come from."""

    source: Annotated[str, member_of("dataset.source", SOURCES)] = "auto"
    path: str | None = None
    name: str | None = None
    revision: str | None = None
    split: Annotated[tuple[str, ...], BeforeValidator(as_names)] = ()
    data_files: Annotated[tuple[str, ...], BeforeValidator(as_names)] = ()
    streaming: StrictBool = False
    protocols: Annotated[tuple[str, ...], BeforeValidator(as_names)] = ()
    top_folders: Annotated[
        Literal["auto", "splits", "labels"],
        one_of("dataset.top_folders", "auto", "splits", "labels"),
    ] = "auto"
    split_folders: dict[str, str] = Field(default_factory=dict)
    image_folder: str | None = None
    companions: Annotated[tuple[str, ...], BeforeValidator(as_names)] = ()
    path_column: str | None = None
    bytes_column: str | None = None
    image_column: str | None = None
    id_column: str | None = None
    split_column: str | None = None
    label_column: str | None = None
    splits: dict[str, Annotated[tuple[str, ...], BeforeValidator(as_texts)]] = Field(
        default_factory=dict
    )
    group_column: str | None = None
    group_pattern: Annotated[str, AfterValidator(as_pattern)] | None = None
    default_split: str | None = None
    allow_outside: StrictBool = True

    @check(mode="after")
    def _splits_fit_together(self) -> Self:
        if self.splits and self.split_column is None:
            message = (
                "dataset.splits says which values of a column are which split; name it:"
                " split_column"
            )
            raise ValueError(message)

        if self.group_column is not None and self.group_pattern is not None:
            message = (
                "dataset.group_column and dataset.group_pattern both say the groups; give one of"
                " them"
            )
            raise ValueError(message)

        values = [value for of_split in self.splits.values() for value in of_split]
        if twice := sorted({value for value in values if values.count(value) > 1}):
            message = f"dataset.splits: the value {twice[0]!r} is in two splits"
            raise ValueError(message)

        return self

    def split_of(self, text: str | None) -> str | None:
        """The split that a value of the split column means, normalised; raises `KeyError` for an
        unknown value.

        >>> SourceConfig(split_column="fold", splits={"train": [0, 1], "test": [2]}).split_of("2")
        'test'
        """
        if text is None or not self.splits:
            return normal_split(text)

        for split, values in self.splits.items():
            if text in values or _as_number(text) in values:
                return normal_split(split)

        if normal_split(text) in map(
            normal_split, self.splits
        ):  # as dataset.default_split names it
            return normal_split(text)

        raise KeyError(text)


def _as_number(text: str) -> str:
    """A whole number, or yes and no, as people write them in a list: `1.0` and `True` as `1`.

    >>> [_as_number(text) for text in ("1.0", "True", "false", "fold1")]
    ['1', '1', '0', 'fold1']
    """
    plain = {"true": "1", "false": "0"}.get(text.lower(), text)
    return plain.removesuffix(".0")


class NamedSource(SourceConfig):
    """One of several datasets."""

    path: str
    prefix: Annotated[str, Field(pattern=r"^[^/\\]+$")] | None = None
    reference: StrictBool = False


class DatasetConfig(SourceConfig):
    """Where the samples come from: one dataset, or several."""

    sources: tuple[NamedSource, ...] = ()

    @check(mode="after")
    def _one_or_several(self) -> Self:
        if not self.sources:
            return self

        others = self.model_fields_set - {"sources"}
        fields = type(self).model_fields
        defaults = {key: fields[key].get_default(call_default_factory=True) for key in others}

        if wrong := sorted(key for key in others if getattr(self, key) != defaults[key]):
            message = (
                f"dataset.sources is given beside {', '.join(wrong)}; move these into its entries"
            )
            raise ValueError(message)

        if all(source.reference for source in self.sources):
            message = "every entry of dataset.sources is a reference; one must be cleaned"
            raise ValueError(message)

        named = [source.prefix for source in self.sources if source.prefix is not None]
        if twice := sorted({prefix for prefix in named if named.count(prefix) > 1}):
            message = (
                f"dataset.sources: two entries have the prefix {twice[0]!r}; give each its own"
            )
            raise ValueError(message)

        return self

    def prefixes(self) -> tuple[str, ...]:
        """What stands before the ids of each of several datasets: its prefix, else the last part of
        its path.

        >>> sources = ({"path": "a/photos"}, {"path": "b/photos.csv", "reference": True})
        >>> DatasetConfig(sources=sources).prefixes()
        ('photos', 'photos-2')
        """
        found: list[str] = []
        taken = {source.prefix for source in self.sources}
        for source in self.sources:
            last = PurePosixPath(source.path.replace("\\", "/").partition("@")[0]).stem or "dataset"
            prefix, number = source.prefix or last, 1
            while source.prefix is None and (prefix in taken or prefix in found):
                number += 1
                prefix = f"{last}-{number}"
            found.append(prefix)

        return tuple(found)

    def reference_splits(self, splits: Iterable[str]) -> set[str]:
        """Those of the splits that are of a reference set."""
        prefixes = {
            p for p, source in zip(self.prefixes(), self.sources, strict=True) if source.reference
        }
        return {split for split in splits if split.partition("/")[0] in prefixes}
