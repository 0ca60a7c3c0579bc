"""Blocks that take longest for their gas: every opcode and precompile in its worst form, and attacks of 2016.

`bench/worst_case.py` measures all of them; `calibrate` measures the slowest few when a chain starts. Nothing here reads
or writes anything: a case's state is in memory, and time is taken around the kernel.
"""
