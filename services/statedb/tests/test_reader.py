"""State at every height equals a dict, whatever was staged, dropped, committed and pruned; and proofs verify."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import hansa_kernel
import pytest
import rlp
from hansa.packing import pack
from hansa_statedb.chain import Chain, Parts
from hansa_statedb.core.overlays import StoredBlock
from hansa_statedb.errors import NotChildOfHead, NotStaged, ParentUnknown, Pruned, RequestInvalid, StoreOtherChain
from hansa_statedb.queries import list_range, prove
from hansa_statedb.store import Batch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.blocks import Change, executed, open_chain, write_set
from support.execution import addresses_of, chain_of, secret_keys
from trie.hexary import HexaryTrie

KEYS = secret_keys(3)
ADDRESSES = [hansa_kernel.keccak(bytes((index,)))[:20] for index in range(12)]
SLOTS = [index.to_bytes(32, "big") for index in range(6)]
WINDOW = 8
ABSENT = bytes(105)
ZERO = bytes(32)
_NO_PARTS = Parts()

State = dict[bytes, tuple[int, int, dict[bytes, int]]]  # address -> nonce, balance, slots


def storage_root(slots: dict[bytes, int]) -> bytes:
    leaves = sorted((hansa_kernel.keccak(slot), value) for slot, value in slots.items())
    return hansa_kernel.trie_root(pack(part for key, value in leaves for part in (key, rlp.encode(value))))


def account_rlp(account: tuple[int, int, dict[bytes, int]]) -> bytes:
    nonce, balance, slots = account
    return bytes(rlp.encode([nonce, balance, storage_root(slots), hansa_kernel.EMPTY_CODE_HASH]))


def record_of(state: State, address: bytes) -> bytes:
    if address not in state:
        return ABSENT
    nonce, balance, slots = state[address]
    head = b"\x01" + nonce.to_bytes(8, "big") + balance.to_bytes(32, "big")
    return head + storage_root(slots) + hansa_kernel.EMPTY_CODE_HASH


def apply(state: State, changes: dict[bytes, Change]) -> State:
    after = dict(state)
    for address, change in changes.items():
        if change.deleted:
            after.pop(address, None)
            continue
        slots = {} if change.wiped or address not in state else dict(state[address][2])
        slots.update(change.slots)
        after[address] = (change.nonce, change.balance, {slot: value for slot, value in slots.items() if value})
    return after


def random_changes(rng: random.Random, state: State) -> dict[bytes, Change]:
    changes = {}
    for address in rng.sample(ADDRESSES, rng.randint(0, 6)):
        if address in state and rng.random() < 0.25:
            changes[address] = Change(deleted=True)
            continue
        slots = {slot: rng.choice((0, 1, 2**255 + 7)) for slot in rng.sample(SLOTS, rng.randint(0, 4))}
        changes[address] = Change(rng.randint(1, 9), rng.randint(0, 2**70), slots=slots, wiped=rng.random() < 0.2)
    return changes


def check_state(chain: Chain, block: StoredBlock, state: State) -> None:
    view = chain.view(block.hash)
    assert chain.reader.accounts(view, ADDRESSES) == [record_of(state, address) for address in ADDRESSES]
    keys = [address + slot for address in ADDRESSES for slot in SLOTS]
    wanted = [state.get(key[:20], (0, 0, {}))[2].get(key[20:], 0).to_bytes(32, "big") for key in keys]
    assert chain.reader.slots(view, keys) == wanted


def check_ranges(chain: Chain, block: StoredBlock, state: State) -> None:
    """All accounts and slots, in pieces, in the order of hashes."""
    listed = sorted((hansa_kernel.keccak(address), address, record_of(state, address)) for address in state)
    assert [entry for entry in in_pieces(chain, block, b"") if entry[1] in ADDRESSES] == listed
    for address in ADDRESSES[:3]:
        slots = state.get(address, (0, 0, {}))[2]
        wanted = sorted((hansa_kernel.keccak(slot), slot, value.to_bytes(32, "big")) for slot, value in slots.items())
        assert in_pieces(chain, block, address) == wanted


def in_pieces(chain: Chain, block: StoredBlock, address: bytes) -> list[tuple[bytes, bytes, bytes]]:
    found: list[tuple[bytes, bytes, bytes]] = []
    start = b""
    while True:
        part = list_range(chain, block.number, address, start, 2)
        assert part.block_hash == block.hash
        found += part.entries
        if not part.next:
            return found
        start = part.next


def check_proof(chain: Chain, block: StoredBlock, state: State) -> None:
    for address in ADDRESSES[:4]:
        proof = prove(chain, block.number, address, b"".join(SLOTS[:3]))
        assert proof.state_root == hansa_kernel.Header.decode(block.header).state_root
        value = account_rlp(state[address]) if address in state else None
        key = hansa_kernel.keccak(address)
        assert hansa_kernel.verify_proof(proof.state_root, key, value, proof.account_proof)
        nodes = [rlp.decode(node) for node in proof.account_proof]
        independent: Any = HexaryTrie
        assert independent.get_from_proof(proof.state_root, key, nodes) == (value or b"")
        for slot, word, slot_nodes in proof.slots:
            found = state.get(address, (0, 0, {}))[2].get(slot, 0)
            assert int.from_bytes(word, "big") == found
            root = proof.account[41:73] if proof.account[0] else hansa_kernel.EMPTY_ROOT
            expected = rlp.encode(found) if found else None
            assert hansa_kernel.verify_proof(root, hansa_kernel.keccak(slot), expected, slot_nodes)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), window=st.sampled_from((WINDOW, None)))
def test_state_at_every_height_equals_a_dict(
    tmp_path_factory: pytest.TempPathFactory, seed: int, window: int | None
) -> None:
    rng = random.Random(seed)
    spec = chain_of(KEYS, proof_window=window)
    folder = tmp_path_factory.mktemp("chain")
    chain = open_chain(folder, spec)
    try:
        committed: list[tuple[StoredBlock, State]] = [(chain.head, {})]
        staged: dict[bytes, tuple[StoredBlock, State]] = {}
        for step in range(40):
            choice = rng.random()
            if choice < 0.65:
                parent, state = rng.choice([committed[-1], *staged.values()])
                changes = random_changes(rng, state)
                block, _ = chain.stage(executed(parent.header, changes, extra=step.to_bytes(2, "big")))
                after = apply(state, changes)
                staged[block.hash] = (block, after)
                check_state(chain, block, after)
            elif choice < 0.95:
                ready = [pair for pair in staged.values() if pair[0].number == committed[-1][0].number + 1]
                children = [
                    p for p in ready if hansa_kernel.Header.decode(p[0].header).parent_hash == committed[-1][0].hash
                ]
                if not children:
                    continue
                block, state = rng.choice(children)
                assert chain.commit(block.hash, b"").hash == block.hash
                committed.append((block, state))
                staged = {
                    found: pair
                    for found, pair in staged.items()
                    if found != block.hash and _stands(pair, staged, block)
                }
                for found, (other, after) in staged.items():
                    assert chain.block_by_hash(found, _NO_PARTS) is not None
                    check_state(chain, other, after)
            else:
                chain.store.close()
                chain = open_chain(folder, spec)
                assert chain.head.hash == committed[-1][0].hash
                staged = {}
        for block, state in committed:
            check_state(chain, block, state)
            if block.number >= chain.earliest_proof():
                check_proof(chain, block, state)
                check_ranges(chain, block, state)
            else:
                with pytest.raises(Pruned):
                    prove(chain, block.number, ADDRESSES[0], b"")
    finally:
        chain.store.close()


def _stands(pair: tuple[StoredBlock, State], staged: dict[bytes, tuple[StoredBlock, State]], head: StoredBlock) -> bool:
    parent = hansa_kernel.Header.decode(pair[0].header).parent_hash
    while parent != head.hash:
        if parent not in staged:
            return False
        parent = hansa_kernel.Header.decode(staged[parent][0].header).parent_hash
    return True


def test_folder_of_an_archive_is_refused_with_a_window(tmp_path: Path) -> None:
    open_chain(tmp_path, chain_of(KEYS, proof_window=None)).store.close()
    with pytest.raises(StoreOtherChain, match="proofWindow"):
        open_chain(tmp_path, chain_of(KEYS, proof_window=WINDOW))


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    opened = open_chain(tmp_path / "statedb", chain_of(KEYS, proof_window=WINDOW))
    yield opened
    opened.store.close()


def test_genesis_holds_what_the_chain_spec_allocates(chain: Chain) -> None:
    view = chain.view(b"")
    (record,) = chain.reader.accounts(view, addresses_of(KEYS)[:1])
    assert int.from_bytes(record[9:41], "big") == 1_000 * 10**18
    assert chain.head.number == 0
    assert chain.reader.block_hashes(view, [0, 1]) == [chain.head.hash, ZERO]


def test_node_history_is_pruned_beyond_the_proof_window(chain: Chain) -> None:
    parent = chain.head
    for number in range(1, 4 * WINDOW):
        block, _ = chain.stage(executed(parent.header, {ADDRESSES[0]: Change(number, number)}))
        parent = chain.commit(block.hash, b"")
    heights = [int.from_bytes(key, "big") for key, _ in chain.store.between("node_history", bytes(8), b"\xff" * 8)]
    assert max(heights) == parent.number
    assert parent.number - WINDOW <= min(heights) <= parent.number - WINDOW + 1
    for number in range(parent.number - WINDOW, parent.number + 1):
        (block,) = chain.blocks([number], _NO_PARTS)
        check_proof(chain, block, {ADDRESSES[0]: (number, number, {})})


def test_stage_again_gives_the_same_block(chain: Chain) -> None:
    block = executed(chain.head.header, {ADDRESSES[0]: Change(1, 1)})
    first, _ = chain.stage(block)
    assert chain.stage(block)[0].hash == first.hash
    chain.commit(first.hash, b"")
    again = executed(chain.blocks([0], _NO_PARTS)[0].header, {ADDRESSES[0]: Change(1, 1)}, expected_hash=first.hash)
    assert chain.stage(again)[0].hash == first.hash


def test_commit_of_the_head_again_succeeds(chain: Chain) -> None:
    block, _ = chain.stage(executed(chain.head.header, {}))
    assert chain.commit(block.hash, b"").hash == block.hash
    assert chain.commit(block.hash, b"").hash == block.hash


def test_commit_of_an_unknown_block_is_not_staged(chain: Chain) -> None:
    with pytest.raises(NotStaged):
        chain.commit(b"\x11" * 32, b"")


def test_commit_of_a_grandchild_of_the_head_is_refused(chain: Chain) -> None:
    child, _ = chain.stage(executed(chain.head.header, {}))
    grandchild, _ = chain.stage(executed(child.header, {}))
    with pytest.raises(NotChildOfHead):
        chain.commit(grandchild.hash, b"")
    assert chain.head.number == 0


def test_siblings_of_a_committed_block_are_dropped(chain: Chain) -> None:
    winner, _ = chain.stage(executed(chain.head.header, {}, extra=b"a"))
    loser, _ = chain.stage(executed(chain.head.header, {}, extra=b"b"))
    chain.commit(winner.hash, b"")
    with pytest.raises(NotStaged):
        chain.commit(loser.hash, b"")
    with pytest.raises(ParentUnknown):
        chain.stage(executed(loser.header, {}))


def test_too_many_siblings_drop_the_oldest_instead_of_blocking(chain: Chain) -> None:
    blocks = [chain.stage(executed(chain.head.header, {}, extra=bytes((i,))))[0] for i in range(80)]
    with pytest.raises(NotStaged):
        chain.commit(blocks[0].hash, b"")
    assert chain.commit(blocks[-1].hash, b"").number == 1


def test_a_block_is_committed_with_its_staged_ancestors_in_one_write(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[Batch] = []
    write = chain.store.write

    def counted(batch: Batch) -> None:
        writes.append(batch)
        write(batch)

    monkeypatch.setattr(chain.store, "write", counted)
    genesis = chain.head
    states: list[State] = []
    parent, blocks = genesis, []
    for number in range(1, 6):
        parent, _ = chain.stage(
            executed(parent.header, {ADDRESSES[0]: Change(number, number, slots={SLOTS[0]: number})})
        )
        blocks.append(parent)
        states.append({ADDRESSES[0]: (number, number, {SLOTS[0]: number})})
    other, _ = chain.stage(executed(genesis.header, {}, extra=b"sibling"))
    assert chain.commit(blocks[3].hash, b"certificate", with_ancestors=True).number == 4
    assert len(writes) == 1
    assert [block.hash for block in chain.blocks(range(1, 9), _NO_PARTS)] == [block.hash for block in blocks[:4]]
    for block, state in zip(blocks[:4], states, strict=False):
        check_state(chain, block, state)
    certificates = [block.certificate for block in chain.blocks(range(1, 5), Parts(certificate=True))]
    assert certificates == [b"", b"", b"", b"certificate"]
    with pytest.raises(NotStaged):
        chain.commit(other.hash, b"", with_ancestors=True)
    assert chain.commit(blocks[4].hash, b"", with_ancestors=True).number == 5


def test_roots_of_write_sets_are_those_of_blocks_that_have_them(chain: Chain) -> None:
    parent, _ = chain.stage(executed(chain.head.header, {ADDRESSES[0]: Change(1, 1, slots={SLOTS[0]: 1})}))
    changes = [
        {ADDRESSES[0]: Change(2, 1)},
        {ADDRESSES[0]: Change(2, 1, slots={SLOTS[0]: 5}), ADDRESSES[1]: Change(1, 1)},
        {ADDRESSES[0]: Change(deleted=True)},
    ]
    roots = chain.roots(parent.hash, [write_set(change) for change in changes])
    for change, root in zip(changes, roots, strict=True):
        block, _ = chain.stage(executed(parent.header, change))
        assert hansa_kernel.Header.decode(block.header).state_root == root
    assert chain.roots(parent.hash, []) == []
    with pytest.raises(ParentUnknown):
        chain.roots(b"\x11" * 32, [])
    with pytest.raises(RequestInvalid):
        chain.roots(parent.hash, [b"\x00\x00\x00\x05"])


def test_ommers_and_withdrawals_come_back_with_the_transactions(tmp_path: Path) -> None:
    spec = chain_of(KEYS, proof_window=WINDOW)
    chain = open_chain(tmp_path / "statedb", spec)
    bodies = [(b"", b""), (pack([b"ommer", b"another"]), b""), (b"", b"\xc2\xc1\x01"), (pack([b"ommer"]), b"\xc1\x80")]
    for ommers, withdrawals in bodies:
        block = replace(executed(chain.head.header, {}), ommers=ommers, withdrawals=withdrawals)
        chain.commit(chain.stage(block)[0].hash, b"")
    for reopened in (False, True):
        if reopened:
            chain.store.close()
            chain = open_chain(tmp_path / "statedb", spec)
        blocks = chain.blocks(range(1, 5), Parts(transactions=True))
        assert [(block.ommers, block.withdrawals) for block in blocks] == bodies
        assert {(block.ommers, block.withdrawals) for block in chain.blocks(range(1, 5), _NO_PARTS)} == {(b"", b"")}
    chain.store.close()


def test_a_read_of_the_head_while_the_next_block_is_about_to_be_written_sees_the_head(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = chain.stage(executed(chain.head.header, {ADDRESSES[0]: Change(1, 1)}))
    chain.commit(first.hash, b"")
    second, _ = chain.stage(executed(first.header, {ADDRESSES[0]: Change(2, 2)}))
    write = chain.store.write
    seen: list[bytes] = []

    def read_and_write(batch: Batch) -> None:
        seen.extend(chain.reader.accounts(chain.view(first.hash), ADDRESSES[:1]))
        write(batch)
        seen.extend(chain.reader.accounts(chain.view(first.hash), ADDRESSES[:1]))

    monkeypatch.setattr(chain.store, "write", read_and_write)
    chain.commit(second.hash, b"")
    assert [int.from_bytes(record[1:9], "big") for record in seen] == [1, 1]
