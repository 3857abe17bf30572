"""Tools for those who work on dedup itself."""
