"""Calls give way to blocks."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

from hansa_executor import limits
from hansa_executor.service import _yield_to_blocks


def own_niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_a_call_worker_has_the_lowest_priority_and_no_other_thread_changes() -> None:
    before = own_niceness()
    with ThreadPoolExecutor(1, "executor-call", _yield_to_blocks) as calls, ThreadPoolExecutor(1) as blocks:
        assert calls.submit(own_niceness).result() == limits.CALL_NICENESS
        assert blocks.submit(own_niceness).result() == before
    assert own_niceness() == before
