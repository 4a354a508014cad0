"""`python -m udfleet`."""

from .cli import main

main()
