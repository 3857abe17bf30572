"""`open_picture` under the name that scripts know: bytes to a picture, or why not
(`dedup.decoding.pictures`).
"""

from dedup.decoding.pictures import Picture, Unreadable, open_picture

__all__ = ["Picture", "Unreadable", "open_picture"]
