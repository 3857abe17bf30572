"""The stages, each named after the table it writes. None imports another."""
