"""Keeps the processes of a local consortium alive.

One small process per consortium: it starts what its plan lists, starts again what died, writes who runs into a state
file, and ends its children when it is told to end. It imports nothing but the standard library.
"""
