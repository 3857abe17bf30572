"""Verification: thumbnails in, similarity out."""

from dedup.verify.gradients import similarities

__all__ = ["similarities"]
