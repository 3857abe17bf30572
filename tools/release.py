"""Build what is released: `python -m tools.release REPOSITORY DIST`.

Where a repository lies is not a property of its files: a fork has another address. So the address
is an argument (the release workflow passes its own), and the addresses of the project and the links
of the README are made of it in a copy of the tree. Needs the package `build`.
"""

import argparse
import posixpath
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]

_LINK: Final = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def absolute(readme: str, repository: str, tag: str) -> str:
    """The README with every relative link as one to the files of a tag.

    >>> absolute("![p](docs/p.png) [s](https://s.example)", "https://r.example", "v1")
    '![p](https://r.example/raw/v1/docs/p.png) [s](https://s.example)'
    >>> absolute("[q](docs/q.md#r)", "https://r.example", "v1")
    '[q](https://r.example/blob/v1/docs/q.md#r)'
    """

    def replaced(link: re.Match[str]) -> str:
        is_picture, text, target = link.groups()
        if "://" in target or target.startswith("#"):
            return link[0]
        kind = "raw" if is_picture else "blob"
        return f"{is_picture}[{text}]({repository}/{kind}/{tag}/{posixpath.normpath(target)})"

    return _LINK.sub(replaced, readme)


def with_urls(pyproject: str, repository: str, tag: str) -> str:
    """The text of pyproject.toml with the addresses of the project."""
    urls = {
        "Homepage": repository,
        "Repository": repository,
        "Documentation": f"{repository}/blob/{tag}/docs/index.md",
        "Changelog": f"{repository}/blob/{tag}/CHANGELOG.md",
        "Issues": f"{repository}/issues",
    }
    lines = [f'{name} = "{address}"\n' for name, address in urls.items()]

    return f"{pyproject}\n[project.urls]\n{''.join(lines)}"


def copied(target: Path) -> None:
    """Copy the files that git knows, as they are now."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )

    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def main() -> int:
    """Build a source distribution and a wheel."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "repository", help="address of the repository, https://…, without a / at its end"
    )
    parser.add_argument("dist", type=Path, help="folder for the two files")
    options = parser.parse_args()
    if not re.fullmatch(r"https://[\w.-]+(/[\w.~-]+)+", options.repository):
        parser.error(f"{options.repository!r} is not an https address of a repository")

    with tempfile.TemporaryDirectory() as temporary:
        tree = Path(temporary)
        copied(tree)
        pyproject = (tree / "pyproject.toml").read_text(encoding="utf-8")
        tag = f"v{tomllib.loads(pyproject)['project']['version']}"
        readme = (tree / "README.md").read_text(encoding="utf-8")
        (tree / "README.md").write_text(absolute(readme, options.repository, tag), encoding="utf-8")
        changed = with_urls(pyproject, options.repository, tag)
        (tree / "pyproject.toml").write_text(changed, encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "build",
            "--outdir",
            str(options.dist.resolve()),
            temporary,
        ]
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
