"""Shared by Hansa's services: chain spec, keys, settings, RPC helpers, telemetry and the command line."""

__version__ = "0.1.0"
