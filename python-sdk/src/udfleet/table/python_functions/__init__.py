"""Built-in functions that the fleet has no kernels for, in plain Python: interpreters import them from here.

A null argument gives null. What an argument can't be raises: a pattern that is none, a group that it does not have.
"""

from __future__ import annotations
