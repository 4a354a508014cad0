"""Runs a batch that failed again, here."""

from .replaying import Replayed, replay

__all__ = ["Replayed", "replay"]
