"""Keyed state within an interpreter: write-back caches between a function and what its partition's owner holds.

Runs on a bare Python.
"""
