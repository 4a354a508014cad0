"""Keyed state within an interpreter: write-back caches between a function and what its partition's owner holds.

Runs on a bare Python. Nothing of it is exported: no function has keyed state yet.
"""
