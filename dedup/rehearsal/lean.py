"""Half the work for a process that compiles kernels for others and runs them once (`python -m
dedup.rehearsal`).

Two of numba's steps serve kernels that are called from Python, and are taken for inner ones, too:
each is made machine code by itself, and is optimised again within each kernel that calls it. What
is written here leaves out the first, and the second for large ones. It changes methods of numba
that are not public, so it looks for what it was written for (numba 0.68) and leaves another version
as it is. What is compiled, and the key under which it is kept, stay the same.
"""

from typing import Any, Final

from numba._dynfunc import make_function
from numba.core.codegen import CPUCodeLibrary, JITCodeLibrary
from numba.core.cpu import CPUContext

_LARGE: Final = 60
"""Instructions from which a call costs nothing beside what is done: smaller kernels are still
written into callers.
"""

_NEEDED: Final = {
    JITCodeLibrary: (
        "_finalize_dynamic_globals",
        "_finalize_final_module",
        "_get_module_for_linking",
        "finalize",
    ),
    CPUCodeLibrary: ("_optimize_final_module",),
    CPUContext: ("get_executable",),
}

_executable: Any = getattr(CPUContext, "get_executable", None)
_finalize: Any = getattr(JITCodeLibrary, "finalize", None)
_finish: Any = getattr(JITCodeLibrary, "_finalize_final_module", None)
_optimise: Any = getattr(JITCodeLibrary, "_optimize_final_module", None)


def compile_lean() -> bool:
    """From here on inner kernels are compiled with less work in this process; False where numba is
    another one.
    """
    if not all(hasattr(owner, name) for owner, names in _NEEDED.items() for name in names):
        return False

    CPUContext.get_executable = _executable_if_called
    JITCodeLibrary.finalize = _with_callees_apart
    JITCodeLibrary._optimize_final_module = _then_linked
    JITCodeLibrary._finalize_final_module = _ready

    return True


def _executable_if_called(context: Any, library: Any, description: Any, environment: Any) -> Any:
    """What Python calls; nothing for a kernel that has no such entry, whose library is marked as an
    inner one.
    """
    entries = {description.llvm_cpython_wrapper_name, description.llvm_cfunc_wrapper_name}
    library.is_inner = not any(
        function.name in entries for function in library._final_module.functions
    )
    if not library.is_inner:
        return _executable(context, library, description, environment)

    return make_function(
        description.lookup_module(),
        description.qualname,
        "never called",
        0,
        environment,
        (library,),
    )


def _with_callees_apart(library: Any) -> None:
    """Link and optimise a library, large inner ones that it calls aside; `apart` has these and what
    they call.
    """
    called = list(dict.fromkeys(library._linking_libraries))
    for one in called:
        one._ensure_finalized()

    large = [one for one in called if _is_large(one)]
    library._linking_libraries = [one for one in called if one not in large]
    library.apart = list(
        dict.fromkeys([*large, *(other for one in called for other in getattr(one, "apart", ()))])
    )
    _finalize(library)


def _then_linked(library: Any) -> None:
    """Optimise a library; one that Python calls then gets the inner ones that were kept apart, each
    once.
    """
    _optimise(library)
    if getattr(library, "is_inner", False):
        return

    for one in library.apart:
        library._reload_init.update(one._reload_init)
        library._final_module.link_in(one._get_module_for_linking(), preserve=True)


def _ready(library: Any) -> None:
    """Make machine code of a library that Python calls; an inner one is ready when it is
    optimised.
    """
    if getattr(library, "is_inner", False):
        library._finalize_dynamic_globals()
        library._finalized = True
    else:
        _finish(library)


def _is_large(library: Any) -> bool:
    if not getattr(library, "is_inner", False):
        return False
    bodies = (block for function in library._final_module.functions for block in function.blocks)
    return sum(1 for block in bodies for _ in block.instructions) > _LARGE
