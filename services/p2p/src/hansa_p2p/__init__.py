"""Hansa's p2p service."""
