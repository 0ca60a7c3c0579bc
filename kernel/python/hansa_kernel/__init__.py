"""Hansa's Rust kernel. The documented contract is `_kernel.pyi`; everything public there is importable from here."""

from hansa_kernel._kernel import *  # noqa: F403 - the binary's __all__ is checked against _kernel.pyi
