"""Bytes to a picture, once."""
