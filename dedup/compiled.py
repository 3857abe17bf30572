"""How compiled loops are made: without the interpreter's lock, kept between processes where a
folder allows it.

numba keeps what it compiled in `__pycache__` beside the file that holds the kernel or, where that
cannot be written, in its folder below the user's cache folder (or NUMBA_CACHE_DIR). Where neither
can be written, kernels are compiled again in every process: a few seconds for a search, most of a
minute for a run.
"""

import logging
import sys
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final, cast

from numba import njit
from numba.core import event
from numba.core.runtime import rtsys

logger = logging.getLogger(__name__)

_PYTHON: Final = "{}{}".format(*sys.version_info)
_USES: Final = {"search": "the search", "verify": "the verification"}
_ROOMS: Final = ("decoding", "hashers", "search", "verify")  # the packages with kernels
_OF_A_CACHE: Final = (
    *("load_overload", "_index_key", "_guard_against_spurious_io_errors"),
    *("_cache_file", "_enabled", "_impl"),
)
_EXACT: Final = {"contract", "reassoc", "nsz"}
_ROUNDED: Final = {"contract", "reassoc", "nsz", "arcp", "nnan", "ninf"}


class _Refreshed:
    """numba's context before something is compiled, without what no kernel here needs.

    numba imports a quarter of a second of SciPy to note whether matrices could be multiplied, which
    no kernel here does. A kernel that does asks again, so others notice nothing.
    """

    def __init__(self) -> None:
        self._done = False

    def __call__(self, context: Any) -> None:
        """Import what compiling needs."""
        if not self._done:
            self._done = True
            linalg = import_module("numba.np.linalg")
            asked = getattr(linalg, "ensure_blas", None)
            if asked is not None:
                linalg.ensure_blas = lambda: None  # type: ignore[attr-defined]
            try:
                import_module("numba.np.arraymath")
            finally:
                if asked is not None:
                    linalg.ensure_blas = asked  # type: ignore[attr-defined]

        context.refresh()


_refresh = _Refreshed()


class _Teller(event.Listener):  # type: ignore[misc]  # numba has no types
    """Logs that the first kernels for something are compiled; one that is found in a folder is no
    event.
    """

    def __init__(self) -> None:
        self._told: set[str] = set()

    def on_start(self, event: event.Event) -> None:
        """A function is going to be compiled: maybe one of somebody else's."""
        package, _, rest = event.data["dispatcher"].py_func.__module__.partition(".")
        use = _USES.get(rest.partition(".")[0], "hashing")
        if package == "dedup" and use not in self._told:
            self._told.add(use)
            logger.info(
                "Kernels for %s are compiled first, as in any first run; later runs here find"
                " them.",
                use,
            )

    def on_end(self, event: event.Event) -> None:
        """Others follow."""


event.register("numba:compile", _Teller())


def is_kept(kernel: Callable[..., Any]) -> bool:
    """Whether a process here finds the kernel compiled; also True where there is no folder to keep
    it in.
    """
    stats = getattr(kernel, "stats", None)  # none where NUMBA_DISABLE_JIT is set
    if stats is None or stats.cache_path is None:
        return True

    cached = _cached(kernel)
    if cached is not None:
        # The key of each entry: its signature, the processor it was compiled for, and a hash of the
        # kernel.
        here = kernel.targetctx.codegen().magic_tuple()  # type: ignore[attr-defined]
        return any(key[1] == here for key in cached._load_index())

    source = Path(kernel.__code__.co_filename)
    found = Path(stats.cache_path).glob(f"{source.stem}.{kernel.__qualname__}-*.py{_PYTHON}*.nbi")

    return any(index.stat().st_mtime >= source.stat().st_mtime for index in found)


def kept_kernels(module: ModuleType) -> list[Callable[..., Any]]:
    """The kernels of a module that are kept between processes."""
    own = (
        value
        for value in vars(module).values()
        if getattr(value, "__module__", None) == module.__name__
    )
    return [
        value
        for value in own
        if getattr(getattr(value, "stats", None), "cache_path", None) is not None
    ]


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as a kernel."""
    return _kernel(function)


def compiled_exact(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as a kernel whose sums are taken in any order: only for whole numbers that their
    type holds.
    """
    return _kernel(function, fastmath=_EXACT)


def compiled_rounded(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as a kernel whose sums are taken in any order, and divisions as products: the
    caller rounds.
    """
    return _kernel(function, fastmath=_ROUNDED)


def inner(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as a kernel that only kernels call: part of those, so that it is neither kept
    nor wrapped.
    """
    return _inner(function)


def inner_exact(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `compiled_exact`, for a kernel that only kernels call."""
    return _inner(function, fastmath=_EXACT)


def inner_rounded(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `compiled_rounded`, for a kernel that only kernels call."""
    return _inner(function, fastmath=_ROUNDED)


def _inner(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    wrapped = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    kernel: Callable[..., Any] = njit(nogil=True, error_model="numpy", **wrapped, **options)(
        function
    )

    return kernel


def _kernel(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    try:
        kernel: Callable[..., Any] = njit(nogil=True, cache=True, error_model="numpy", **options)(
            function
        )
    except RuntimeError:  # numba found no folder that it may write to
        return cast(
            "Callable[..., Any]", njit(nogil=True, error_model="numpy", **options)(function)
        )

    cached = _cached(kernel)
    if cached is not None:
        cached._source_stamp = _sources()
        _load_without_compiler(kernel._cache)  # type: ignore[attr-defined]

    return kernel


def _load_without_compiler(kept: Any) -> None:
    """Let a kernel that is found in its folder be loaded without what numba imports to compile.

    It is a tenth of a second of every process, of which a run has several.
    """
    if not all(hasattr(kept, name) for name in _OF_A_CACHE):
        return

    def load_overload(signature: Any, context: Any) -> Any:
        key = kept._index_key(signature, context.codegen())
        with kept._guard_against_spurious_io_errors():
            found = kept._cache_file.load(key) if kept._enabled else None
            if found is not None:
                rtsys.initialize(context)  # kernels allocate arrays
                return kept._impl.rebuild(context, found)

        _refresh(context)  # it will be compiled
        return None

    kept.load_overload = load_overload


def _cached(kernel: Callable[..., Any]) -> Any:
    """What numba keeps of a kernel, where this version of numba holds it as the one that this was
    written for does.
    """
    file = getattr(getattr(kernel, "_cache", None), "_cache_file", None)
    return file if hasattr(file, "_source_stamp") and hasattr(file, "_load_index") else None


@cache
def _sources() -> bytes:
    """What stands in the files with kernels.

    numba looks at the file of a kernel alone. A kernel contains those that it calls, and they are
    in other files: after an update, or a change of one of them, what was kept would be an old one.
    """
    root = Path(__file__).parent
    digest = sha256()
    for file in sorted(file for room in _ROOMS for file in (root / room).glob("*.py")):
        digest.update(file.read_bytes())

    return digest.digest()
