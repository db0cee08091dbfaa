"""Scan survey images for candidates: plan, ledger, shards, results."""
