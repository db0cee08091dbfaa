"""Training: an image set and settings to a run folder."""
