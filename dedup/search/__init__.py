"""Thresholded Hamming search: every pair within a distance, none missed."""

from dedup.search.crew import Progress
from dedup.search.codes import pack
from dedup.search.matches import Matches, distances, find_pairs, join, join_batches, plan
from dedup.search.plans import Band, Plan
from dedup.search.planner import FINDERS

__all__ = [
    "FINDERS",
    "Band",
    "Matches",
    "Plan",
    "Progress",
    "distances",
    "find_pairs",
    "join",
    "join_batches",
    "pack",
    "plan",
]
