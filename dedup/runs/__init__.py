"""A run and its folder: its tables in memory, on a disk, and read again."""
