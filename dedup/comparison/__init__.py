"""Why two pictures are a pair, or not: everything that speaks for and against it."""

from dedup.comparison.comparing import compare as compare
from dedup.comparison.evidence import Comparison as Comparison
from dedup.comparison.evidence import Side as Side
