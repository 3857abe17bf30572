"""Thresholded Hamming search: every pair within a distance, none missed."""

from dedup.search.join import Matches, Progress, find_pairs, join, pack

__all__ = ["Matches", "Progress", "find_pairs", "join", "pack"]
