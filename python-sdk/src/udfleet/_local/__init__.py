"""`local`: a private fleet on this machine."""
