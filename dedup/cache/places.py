"""Where the cache is by default: where each platform keeps caches."""

import os
import sys
from pathlib import Path


def default_folder() -> Path:
    """`~/.cache/dedup` (or below `XDG_CACHE_HOME`), `~/Library/Caches/dedup` on macOS, the local
    data on Windows.
    """
    named = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME", "")
    if Path(named).is_absolute():  # as the convention asks: anything else is not meant
        return Path(named) / "dedup"

    below = {"win32": "AppData/Local", "darwin": "Library/Caches"}.get(sys.platform, ".cache")

    return Path.home() / below / "dedup"
