"""A run and its folder: what it found, how it is stored, read again and resumed."""
