"""Dagger's `PYTHON_UDF_CONFIG`: what it registers with Flink, registered with a fleet.

job = udfleet.dagger.load("config.json")
job.register(fleet)
"""

from __future__ import annotations

from .job import DaggerFunction, DaggerJob, load
from .settings import KEYS, parse, read_settings

__all__ = ["KEYS", "DaggerFunction", "DaggerJob", "load", "parse", "read_settings"]
