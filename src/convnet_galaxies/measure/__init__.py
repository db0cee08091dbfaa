"""Arrays to numbers: scores, intervals and the statistics of unknown truth. No torch, no files."""
