"""What `mkdocs.yml` cannot say: the notes of docs/decisions in the navigation, and links that leave
docs/ for the rest of the repository.

Such a link becomes the path as text, since the site does not hold the file; where DEDUP_REPOSITORY
is set it becomes a link to the file there. A path that does not exist is an error either way.
"""

import os
import posixpath
import re
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
REPOSITORY: Final = "DEDUP_REPOSITORY"
"""Environment variable with the address of the repository, such as that of the release workflow."""

_LINK: Final = re.compile(r"\[([^\]]+)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def on_config(config: Any) -> Any:
    """Add the decision notes, which come one by one, to the navigation."""
    notes = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    config.nav.append({"Decisions": [f"decisions/{note.name}" for note in notes]})
    return config


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links out of docs/ into what the site can show."""
    return outside_links(markdown, f"docs/{page.file.src_uri}", os.environ.get(REPOSITORY))


def outside_links(markdown: str, page: str, repository: str | None) -> str:
    """The page with its links to files outside of docs/ replaced.

    Raises `ValueError` for one that leads nowhere.

    >>> outside_links("[a](../LICENSE) [b](quality.md#x)", "docs/index.md", None)
    '`LICENSE` [b](quality.md#x)'
    >>> outside_links("[a](../LICENSE)", "docs/index.md", "https://repository.example/dedup")
    '[a](https://repository.example/dedup/blob/main/LICENSE)'
    """

    def replaced(link: re.Match[str]) -> str:
        text, target, place = link[1], link[2], link[3] or ""
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
        if "://" in target or path.startswith("docs/"):
            return link[0]
        if not (ROOT / path).exists():
            message = f"{page} links to {target!r}, which does not exist."
            raise ValueError(message)
        return f"[{text}]({repository}/blob/main/{path}{place})" if repository else f"`{path}`"

    return _LINK.sub(replaced, markdown)
