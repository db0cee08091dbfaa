"""Results as pages that a browser shows without network."""
