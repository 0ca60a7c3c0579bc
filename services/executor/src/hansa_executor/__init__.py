"""Hansa's executor service."""
