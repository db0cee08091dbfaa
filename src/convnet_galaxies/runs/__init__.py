"""What a run is: its folder, its weights, the ensemble of several runs, and its description."""
