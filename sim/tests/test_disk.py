"""The simulated disk, and what the vote log's own recovery makes of it."""

from __future__ import annotations

from random import Random

import pytest
from hansa_consensus.core.records import VoteRecord
from hansa_consensus.core.types import Phase, Vote
from hansa_consensus.votelog import VoteLog, VoteLogFailed
from hansa_sim.disk import Folder

GENESIS = b"g" * 32
KEY = b"8 bytes!"


def vote(height: int) -> VoteRecord:
    return VoteRecord(Vote(Phase.PREPARE, b"a" * 32, height - 1, b"b" * 32, height, 0, 1, b"s" * 48))


def opened(folder: Folder) -> VoteLog:
    log = VoteLog.open_in(folder, genesis_hash=GENESIS, key_id=KEY)
    folder.settle()
    return log


def heights(log: VoteLog) -> list[int]:
    return [each.to_height for each in log.recovered.votes]


def test_synced_votes_survive_a_power_cut() -> None:
    folder = Folder(Random(1))
    log = opened(folder)
    log.append([vote(1)])
    folder.settle()
    folder.power_cut()
    assert heights(opened(folder)) == [1]


@pytest.mark.parametrize("seed", range(40))
def test_power_cut_during_a_sync_keeps_the_frame_or_loses_it_and_never_more(seed: int) -> None:
    folder = Folder(Random(seed))
    log = opened(folder)
    log.append([vote(1)])
    folder.settle()
    log.append([vote(2)])
    assert not folder.is_durable
    folder.power_cut()
    assert heights(opened(folder)) in ([1], [1, 2])


def test_kill_during_a_sync_loses_nothing() -> None:
    folder = Folder(Random(1))
    log = opened(folder)
    log.append([vote(1)])
    folder.killed()
    assert heights(opened(folder)) == [1]


@pytest.mark.parametrize("seed", range(20))
def test_vote_that_a_failed_sync_left_in_the_page_cache_is_durable_once_it_is_recovered(seed: int) -> None:
    """Seed 6 of the first campaign: the next process read the vote from the cache and sent it; no sync ever wrote it."""
    folder = Folder(Random(seed))
    log = opened(folder)
    folder.failing["sync"] = 1
    with pytest.raises(VoteLogFailed):
        log.append([vote(1)])
    folder.killed()
    again = opened(folder)
    recovered = heights(again)
    assert folder.is_durable
    folder.power_cut()
    assert heights(opened(folder)) == recovered


def test_full_disk_is_final_and_what_was_written_before_it_stays() -> None:
    folder = Folder(Random(1))
    log = opened(folder)
    log.append([vote(1)])
    folder.settle()
    folder.full = True
    with pytest.raises(VoteLogFailed):
        log.append([vote(2)])
    folder.killed()
    folder.full = False
    assert heights(opened(folder)) == [1]


def test_restored_image_is_what_was_on_the_disk_then() -> None:
    folder = Folder(Random(1))
    log = opened(folder)
    image = folder.image()
    log.append([vote(1)])
    folder.settle()
    folder.restore(image)
    assert heights(opened(folder)) == []
