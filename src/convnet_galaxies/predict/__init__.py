"""A run and images to predictions."""
