"""YAML from anywhere: read with a limit on what its aliases expand to."""

from typing import Any, Final

import yaml

MAX_NODES: Final = 1_000_000
"""Values that a document may have with its aliases expanded. The longest lists of class names have
some ten thousand; a few hundred bytes of nested aliases stand for billions, and whoever looks at
each of them waits for ever."""


_MAX_DIGITS: Final = 4_300
"""Of a whole number: as many as Python itself takes of a decimal one. In base 60, which YAML has,
the time would grow with the square of their number."""

_OF_VALUES: Final = (ArithmeticError, AttributeError, LookupError, TypeError)
"""What PyYAML was seen to raise of values that are not what their tag says, such as `!!bool x`, of
`!!int ""`, of `\\Uffffffff`, and of a number in base 60 that is larger than a float can be."""


class TooLargeError(yaml.YAMLError):
    """A document stands for more than anybody writes by hand."""


def read_yaml(text: str) -> Any:
    """What a YAML text says; raises `yaml.YAMLError` or `ValueError` for one that is not valid, or
    that expands to too much.

    And `RecursionError` for one that is nested too deeply.
    """
    try:
        return _read(text)
    except _OF_VALUES as error:
        message = f"a value is not what it is declared to be ({type(error).__name__}: {error})"
        raise yaml.YAMLError(message) from error


def _read(text: str) -> Any:
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None

        if (n_nodes := _expanded(node)) > MAX_NODES:
            message = (
                f"its aliases expand to more than {MAX_NODES:,} values ({n_nodes:.1g}); write"
                " them out"
            )
            raise TooLargeError(message)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _expanded(root: yaml.Node) -> int:
    """Nodes of a document with every alias in the place of what it stands for; a node is looked at
    once.
    """
    size_of: dict[int, int | None] = {}

    def size(node: yaml.Node) -> int:
        if id(node) in size_of:
            known = size_of[id(node)]
            if known is None:
                message = "it contains itself"
                raise TooLargeError(message)
            return known

        size_of[id(node)] = None  # under way
        total = 1
        if isinstance(node, yaml.ScalarNode):
            _refuse_long_number(node)
        elif isinstance(node, yaml.SequenceNode):
            total += sum(size(child) for child in node.value)
        elif isinstance(node, yaml.MappingNode):
            total += sum(size(key) + size(value) for key, value in node.value)

        size_of[id(node)] = total

        return total

    return size(root)


def _refuse_long_number(node: yaml.ScalarNode) -> None:
    if node.tag.endswith((":int", ":float")) and len(node.value) > _MAX_DIGITS:
        message = f"a number has more than {_MAX_DIGITS:,} digits"
        raise TooLargeError(message)
