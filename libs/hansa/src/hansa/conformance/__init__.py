"""Ethereum's public tests against the kernel: files to cases, on several processes."""

from hansa.conformance.files import find_test_files
from hansa.conformance.pool import Case, FileResult, Job, Setting, run_jobs

__all__ = ["Case", "FileResult", "Job", "Setting", "find_test_files", "run_jobs"]
