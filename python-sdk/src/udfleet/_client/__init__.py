"""`connect` and what a fleet can do for a client."""
