"""Arrays to numbers: scores, intervals and the statistics of unlabelled samples. No torch, no files."""
