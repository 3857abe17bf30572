"""The lowest versions that pyproject.toml allows, as constraints for pip."""

import re
import tomllib
from pathlib import Path
from typing import Final

PYPROJECT: Final = Path(__file__).parents[1] / "pyproject.toml"

_AT_LEAST: Final = re.compile(r"([\w.-]+)\s*>=\s*([\w.]+)")


def lowest(dependencies: list[str]) -> list[str]:
    """One `name==version` for each dependency; raises `ValueError` for one without one.

    >>> lowest(["numpy>=1.26", "Pillow>=11.1"])
    ['numpy==1.26', 'Pillow==11.1']
    """
    found = []

    for text in dependencies:
        match = _AT_LEAST.fullmatch(text)
        if match is None:
            message = f"{text!r} names no lowest version, as in 'numpy>=1.26'."
            raise ValueError(message)
        found.append(f"{match[1]}=={match[2]}")
    return found


if __name__ == "__main__":
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    print("\n".join(lowest(project["dependencies"])))
