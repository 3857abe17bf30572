"""Keyword arguments as settings: by their own names, or by section."""

import difflib
from collections.abc import Callable, Mapping
from inspect import Parameter, Signature, signature
from typing import Any, Final, TypeVar

from dedup.config import Config, keys
from dedup.errors import OptionError

_SAME_AS: Final = {"num_proc": "workers"}  # as `datasets` calls it

IN_TWO_SECTIONS: Final = "splits"
"""`dataset.splits` is a mapping that says which values of a column are which split, `output.splits`
a text.
"""

_Function = TypeVar("_Function", bound=Callable[..., Any])


def options_to_settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword options as the nested settings of a config.

    >>> options_to_settings({"max_distance": 8, "hash": {"bits": 256}, "num_proc": 2})
    {'search': {'max_distance': 8}, 'hash': {'bits': 256}, 'engine': {'workers': 2}}
    >>> options_to_settings({"splits": {"train": [0], "test": [1]}})
    {'dataset': {'splits': {'train': [0], 'test': [1]}}}
    """
    section_of = sections()
    settings: dict[str, Any] = {}
    problems = []

    for given, value in options.items():
        name = _SAME_AS.get(given, given)
        if name != given and name in options:
            problems.append(f"{given}: it is the same as {name!r}; give one of them.")
        elif name in Config.model_fields and isinstance(value, Mapping):
            settings[name] = {**settings.get(name, {}), **value}
        elif name in Config.model_fields:
            problems.append(
                f"{name}: got {value!r}; a section is a dict of settings, e.g."
                " search={'max_distance': 8}."
            )
        elif name == IN_TWO_SECTIONS and isinstance(value, Mapping):
            settings.setdefault("dataset", {})[name] = value
        elif name in section_of:
            settings.setdefault(section_of[name], {})[name] = value
        else:
            near = difflib.get_close_matches(
                name, [*section_of, *Config.model_fields, *_SAME_AS], n=1
            )
            problems.append(
                f"{name}: unknown option.{f' Did you mean {near[0]!r}?' if near else ''}"
            )

    if problems:
        raise OptionError(*problems)

    return settings


def sections() -> dict[str, str]:
    """The section of each setting that has a name of its own; of two with one name the later
    one.
    """
    return {key.partition(".")[2]: key.partition(".")[0] for key in keys()}


def takes_options(function: _Function) -> _Function:
    """The function with a signature that names every option, for completion and `help`."""
    own = [
        parameter
        for parameter in signature(function).parameters.values()
        if parameter.kind != Parameter.VAR_KEYWORD
    ]
    models = keys()
    named = {
        name: models[f"{section}.{name}"].model_fields[name].get_default(call_default_factory=True)
        for name, section in sections().items()
    }
    further = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=default)
        for name, default in {**named, **dict.fromkeys(_SAME_AS)}.items()
        if name not in {parameter.name for parameter in own}
    ]
    function.__signature__ = Signature([*own, *further])  # type: ignore[attr-defined]

    return function
