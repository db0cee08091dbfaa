"""Runs: folder, weights, ensembles of several runs, and their description."""
