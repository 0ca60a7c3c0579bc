"""Attacks of 2016 as blocks: what they leave under the rules of then and of now, and that memory stays flat."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor

import hansa_kernel
import pytest
from hansa.worst import attacks, measure, rules
from hansa.worst.attacks import BLOCK_GAS, SECOND
from hansa.worst.case import CONTRACT, address, sender
from support.attack_runs import Left, execute

BENEFICIARY = b"\xbe" * 20
MIB = 1024  # ru_maxrss counts KiB
FRAMES_KIB = 64 * MIB
"""Most that the frames of any of the attacks hold at once: their gas buys no more memory than that."""

READ_KIB = 3
"""Most for each account or slot that is read, in the state, in the answers, and written, in all five runs together. A copy
of the state or of the memory for each call would take gigabytes; what one run kept would be there five times."""

OLD = ("frontier", "homestead")
ALL = ("frontier", "eip150", "eip158", "london", "osaka")


@pytest.fixture(scope="module")
def run() -> Iterator[Callable[[str, str], Left]]:
    """Executes an attack in a fresh process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:

        def execute_apart(attack: str, under: str) -> Left:
            left = pool.submit(execute, attack, under, BLOCK_GAS).result(timeout=300)
            allowed = FRAMES_KIB + READ_KIB * left.reads
            assert left.peak_kib < allowed, f"{attack} under {under} holds {left.peak_kib} KiB"
            return left

        yield execute_apart


def strangers(left: Left) -> list[bytes]:
    """Accounts that the attack named and the block wrote."""
    return [at for at in left.written if at[0] == address(0)[0]]


@pytest.mark.parametrize("under", ALL)
def test_memory_of_nested_calls_stays_flat(run: Callable[[str, str], Left], under: str) -> None:
    left = run("nested_memory", under)
    # Until EIP-150 all 1,024 frames fit the block's gas; since, each frame keeps a part.
    assert (left.gas_used > 0.9 * BLOCK_GAS) is (under in OLD)
    assert set(left.written) == {sender(), BENEFICIARY} - ({BENEFICIARY} if under not in (*OLD, "eip150") else set())


@pytest.mark.parametrize("under", ALL)
def test_a_tree_of_calls_ends_with_its_gas(run: Callable[[str, str], Left], under: str) -> None:
    assert run("call_tree", under).gas_used == BLOCK_GAS


@pytest.mark.parametrize(("under", "price"), [("frontier", 20), ("eip150", 700), ("osaka", 2_600)])
def test_as_many_code_sizes_are_read_as_gas_pays_for(run: Callable[[str, str], Left], under: str, price: int) -> None:
    left = run("code_sizes", under)
    # The list names a few more than are reached.
    assert left.gas_used == BLOCK_GAS
    assert left.reads >= (BLOCK_GAS - 21_000) // (price + 11)
    assert strangers(left) == []


@pytest.mark.parametrize("under", ["frontier", "eip150", "eip158", "osaka"])
def test_empty_accounts_stay_until_eip_161(run: Callable[[str, str], Left], under: str) -> None:
    left = run("empty_accounts", under)
    made = strangers(left)
    assert made == [address(number) for number in range(len(made))]
    match under:
        case "frontier" | "homestead":
            # 106 gas each, 6 for the first address and a word of memory, and a refund for the contract that is gone.
            assert 106 * len(made) == left.gas_used + 24_000 - 21_006
            assert len(made) > 40_000
        case "eip150":
            assert 100 < len(made) < BLOCK_GAS // 30_000 + 1
        case _:
            assert made == []
    destroyed = left.written.get(SECOND, 0) & 1
    assert destroyed == (under != "osaka"), "EIP-6780: code that is older than the transaction stays"


@pytest.mark.parametrize(("under", "each"), [("homestead", 25_064), ("eip150", 25_724), ("eip158", 0), ("osaka", 0)])
def test_touched_accounts_are_not_there_since_eip_161(run: Callable[[str, str], Left], under: str, each: int) -> None:
    left = run("touched_accounts", under)
    made = strangers(left)
    assert len(made) == ((left.gas_used - 21_000 - 3) // each if each else 0)


@pytest.mark.parametrize("under", ALL)
def test_contracts_made_to_be_destroyed_leave_nothing(run: Callable[[str, str], Left], under: str) -> None:
    left = run("suicides", under)
    assert set(left.written) <= {sender(), BENEFICIARY, CONTRACT}
    # Half of the gas comes back until London.
    refunded = rules.RULES.index(under) < rules.RULES.index("london")
    assert (left.gas_used < 0.55 * BLOCK_GAS) is refunded


@pytest.mark.parametrize("under", ["homestead", "eip150", "eip158", "istanbul", "osaka"])
def test_a_flood_of_suicides_clears_what_it_may(run: Callable[[str, str], Left], under: str) -> None:
    left = run("suicide_flood", under)
    gone = strangers(left)
    assert all(left.written[at] & 1 for at in gone) is (under != "osaka")
    assert len(gone) > (30_000 if under in OLD else 400)


def test_a_walk_that_no_look_ahead_finds_is_one_round_for_who_has_its_list() -> None:
    case = attacks.spin_and_walk(2_000_000, "osaka")
    spec = rules.chain("osaka")
    listed = measure.run(case, spec, hinted=measure.hints(case))
    assert listed.rounds == 1
    assert listed.gas > 1_900_000
    # Who builds does not go on for ever: each round computes the first half again.
    tried = measure.run(case, spec, building=True, rounds_max=64)
    assert len(tried.result.included) == 0
    assert [error.code for _, error in tried.result.dropped] == ["invalid_transaction"]
    assert tried.rounds < 12


def test_a_walk_that_costs_little_has_all_rounds() -> None:
    # A block of so many that one computes next to nothing.
    case = attacks.many(attacks.spin_and_walk(20_000_000, "osaka"), 100)
    tried = measure.run(case, rules.chain("osaka"), building=True, rounds_max=64)
    assert tried.rounds >= 64


def test_deep_paths_give_the_root_of_a_trie_built_at_once() -> None:
    slots = attacks.deep_slots(256, 1 << 14)
    hashes = sorted(hansa_kernel.keccak(slot.to_bytes(32, "big")) for slot in slots)
    shared = hashes[0].hex()[:1]
    assert all(one.hex().startswith(shared) for one in hashes), "ground to share their first nibble"
    address_ = b"\x11" * 20
    write_set = b"\0\0\0\1" + address_ + b"\0" + bytes(8 + 32) + hansa_kernel.EMPTY_CODE_HASH
    write_set += len(slots).to_bytes(4, "big")
    write_set += b"".join(slot.to_bytes(32, "big") + b"\0" * 31 + b"\1" for slot in sorted(slots))
    job = hansa_kernel.TrieJob(hansa_kernel.EMPTY_ROOT, write_set, bytes(105))
    out = job.step()
    while isinstance(out, hansa_kernel.TrieNeed):
        out = job.step([None] * len(measure.unpacked(out.paths)))
    packed = b"".join(b"\0\0\0\x20" + one + b"\0\0\0\1\1" for one in hashes)
    assert out.storage_roots == hansa_kernel.trie_root(packed)
    assert max(len(node) for node in measure.unpacked(out.node_writes)) <= 600


def test_a_builder_includes_what_reads_much_but_foreseeably() -> None:
    # All of the block's gas for new slots, which are known only by running; and for cold accounts.
    spec = rules.chain("osaka")
    deep, _ = attacks.paths("osaka", 700)
    for case in (deep, attacks.touched_accounts(16_000_000, "osaka"), attacks.code_sizes(16_000_000, "osaka")):
        built = measure.run(case, spec, building=True, rounds_max=64)
        assert len(built.result.included) == 4, case.name  # the index of one transaction
        assert built.rounds <= 12, case.name
