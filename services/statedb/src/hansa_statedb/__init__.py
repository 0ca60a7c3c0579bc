"""Hansa's statedb service."""
