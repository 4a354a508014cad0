"""What a registration sends: the pickle, its files, the definition."""
