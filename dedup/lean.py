"""What a process may do without."""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


class _WithoutPandas:
    """A finder of modules that says there is no pandas."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Raises for pandas; None, the next finder's turn, for anything else."""
        if name == "pandas":
            raise ModuleNotFoundError(name=name)
        return None


def never_import_pandas() -> None:
    """Whoever asks for pandas in this process is told that there is none, for good.

    Arrow imports it with the first array that it makes, to know its types, which takes a worker as
    long as all its other modules.
    """
    sys.meta_path.insert(0, _WithoutPandas())


def let_arrow_do_without_pandas() -> None:
    """Have Arrow find no pandas, for good: so for processes of our own only.

    It asks once, with the first array that it makes; see `never_import_pandas`. Everybody can
    import pandas afterwards, but Arrow may not know its series when it is given one.
    """
    if "pandas" in sys.modules:
        return

    finder = _WithoutPandas()
    sys.meta_path.insert(0, finder)
    try:
        import pyarrow as pa

        pa.array([0])
    finally:
        sys.meta_path.remove(finder)
