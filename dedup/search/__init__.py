"""Thresholded Hamming search: every pair within a distance, none missed."""

from dedup.decoding.orientation import INVERSE
from dedup.search.budget import largest_distance_within
from dedup.search.codes import pack
from dedup.search.combined import CombinedMatches, join_hashes, join_hashes_batches
from dedup.search.crew import Progress
from dedup.search.index import Index
from dedup.search.matches import MAX_PAIRS, Matches, distances, find_pairs, join, join_batches, plan
from dedup.search.orientations import OrientedMatches, join_orientations
from dedup.search.planner import FINDERS
from dedup.search.plans import Band, Plan
from dedup.search.summed import with_total
from dedup.search.tiles import Tile, pairs_of, tiles, united

__all__ = [
    "FINDERS",
    "INVERSE",
    "MAX_PAIRS",
    "Band",
    "CombinedMatches",
    "Index",
    "Matches",
    "OrientedMatches",
    "Plan",
    "Progress",
    "Tile",
    "distances",
    "find_pairs",
    "join",
    "join_batches",
    "join_hashes",
    "join_hashes_batches",
    "join_orientations",
    "largest_distance_within",
    "pack",
    "pairs_of",
    "plan",
    "tiles",
    "united",
    "with_total",
]
