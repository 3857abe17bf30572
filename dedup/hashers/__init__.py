"""Hashers: one file per family, behind one contract, which `modes` states."""
