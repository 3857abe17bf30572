"""Hashers: one file per family; `families` names them. A worker that finds everything known imports
none of them.
"""
