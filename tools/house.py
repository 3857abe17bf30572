"""Counts that say how easily one finds one's way in the package: `python tools/house.py [FOLDER]`.

Flat modules at the top, modules in a circle, lines over 100 columns, long functions, complexity
(ruff's C901), comments, blank lines inside functions, sizes of modules. Prints one row a count with
the goal beside it; exit code 1 where a goal is missed.
"""

import ast
import io
import statistics
import subprocess
import sys
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAX_COLUMNS: Final = 100
LONG_FUNCTION: Final = 40  # lines
LARGE_MODULE: Final = 400  # lines
KERNELS: Final = ("kernels.py", "canaries.py")  # one loop after the other, and pictures as text


@dataclass(frozen=True, slots=True)
class Module:
    """What is counted of one file."""

    path: Path
    n_lines: int
    n_code: int  # lines with code
    n_comments: int
    n_wide: int  # lines over MAX_COLUMNS
    functions: tuple[int, ...]  # lines of each
    n_blank_inside: int  # blank lines inside functions
    n_inside: int  # lines inside functions


def module(path: Path) -> Module:
    """Count one file."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    found = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    inside = {
        number for node in found for number in range(node.lineno, (node.end_lineno or node.lineno))
    }
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    code = {
        token.start[0]
        for token in tokens
        if token.type not in {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER}
    }

    return Module(
        path=path,
        n_lines=len(lines),
        n_code=len(code),
        n_comments=sum(token.type == tokenize.COMMENT for token in tokens),
        n_wide=sum(len(line) > MAX_COLUMNS for line in lines),
        functions=tuple((node.end_lineno or node.lineno) - node.lineno + 1 for node in found),
        n_blank_inside=sum(not lines[number - 1].strip() for number in inside),
        n_inside=len(inside),
    )


def n_complex(folder: Path) -> int:
    """Functions of a complexity over 10, by ruff."""
    ruff = Path(sys.executable).with_name("ruff")
    command = [
        str(ruff),
        "check",
        "--select",
        "C901",
        "--output-format",
        "concise",
        "--quiet",
        str(folder),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return sum(": C901 " in line for line in done.stdout.splitlines())


def imports_of(path: Path, names: dict[str, Path]) -> set[str]:
    """The modules of the package that a file imports, those for type checkers included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in names else node.module for name in whole}

    return found & names.keys()


def n_in_circles(folder: Path) -> int:
    """Modules that import themselves over others: what is left when those that import nothing of
    the rest, or that nothing of the rest imports, are taken out again and again.
    """
    names = {}
    for path in folder.rglob("*.py"):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        names[".".join(parts).removesuffix(".__init__")] = path
    left = {name: imports_of(path, names) - {name} for name, path in names.items()}

    while True:
        imported = set().union(*left.values())
        ends = {name for name, of in left.items() if not of or name not in imported}
        if not ends:
            return len(left)
        left = {name: of - ends for name, of in left.items() if name not in ends}


def main() -> int:
    """Count the package and print a table."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "dedup")
    modules = [module(path) for path in sorted(folder.rglob("*.py"))]
    functions = [n_lines for each in modules for n_lines in each.functions]
    large = [
        str(each.path)
        for each in modules
        if each.n_lines > LARGE_MODULE and each.path.name not in KERNELS
    ]
    n_code = sum(each.n_code for each in modules)
    flat = [path for path in folder.glob("*.py") if not path.name.startswith("__")]
    long_share = 100 * sum(n > LONG_FUNCTION for n in functions) / len(functions)
    comments = 100 * sum(each.n_comments for each in modules) / n_code
    blank = 100 * sum(each.n_blank_inside for each in modules) / sum(m.n_inside for m in modules)
    median = statistics.median(each.n_lines for each in modules if each.n_lines > 5)
    n_wide = sum(each.n_wide for each in modules)
    complex_ones = n_complex(folder)
    in_circles = n_in_circles(folder)

    rows = [
        ("flat modules at the top", f"{len(flat)}", "at most 14", len(flat) <= 14),
        ("functions over 40 lines, %", f"{long_share:.1f}", "at most 1", long_share <= 1),
        ("functions of complexity over 10", f"{complex_ones}", "0", complex_ones == 0),
        ("modules in a circle", f"{in_circles}", "0", in_circles == 0),
        ("lines over 100 columns", f"{n_wide}", "0", n_wide == 0),
        ("comments per 100 lines of code", f"{comments:.1f}", "4 to 6", 4 <= comments <= 6),
        ("blank lines per 100 in functions", f"{blank:.1f}", "at least 6", blank >= 6),
        ("lines of the median module", f"{median:.0f}", "at most 150", median <= 150),
        ("modules over 400 lines", f"{len(large)}", "0 but kernels", not large),
    ]
    for name, value, goal, met in rows:
        print(f"{name:36} {value:>8}   goal: {goal:14} {'met' if met else 'missed'}")
    for path in large:
        print(f"  over 400 lines: {path}")

    return 0 if all(met for *_, met in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
