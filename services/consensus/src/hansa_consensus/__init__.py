"""Hansa's consensus service."""
