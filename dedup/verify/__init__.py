"""Verification: thumbnails in, similarity out."""

from dedup.verify.similarity import Verified, similarities, verified

__all__ = ["Verified", "similarities", "verified"]
