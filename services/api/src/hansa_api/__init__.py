"""Hansa's api service."""
