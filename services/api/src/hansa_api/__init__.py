"""Hansa's api service: every surface that people and programs reach a member through."""
