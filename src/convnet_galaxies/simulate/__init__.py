"""Parameters to files: both surveys simulated in their real formats."""
