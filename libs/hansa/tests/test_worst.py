"""The programs of worst cases do what their names say, until their gas is gone."""

import hansa_kernel
import pytest
from hansa.worst import attacks, measure, opcodes, precompiles, rules
from hansa.worst.case import CONTRACT, Case, program, sender
from hansa.worst.program import OPCODES, WORD_MAX, code, endless, push, until

GAS = 400_000


def call(case: Case, under: str, gas: int | None = None) -> hansa_kernel.CallResult:
    """The case's only transaction as a call."""
    (transaction,) = case.transactions
    state = measure.MemoryState(case)
    job = hansa_kernel.CallJob(
        rules.chain(under), measure.environment(case), sender=sender(), to=CONTRACT, gas=gas or transaction.gas,
        data=transaction.data,
    )  # fmt: skip
    out = job.step()
    while not isinstance(out, hansa_kernel.CallResult):
        out = job.step(state.answer(out) if isinstance(out, hansa_kernel.Need) else None)
    return out


def by_name(cases: list[Case]) -> dict[str, Case]:
    """Cases under names, which are unique."""
    named = {case.name: case for case in cases}
    assert len(named) == len(cases)
    return named


@pytest.mark.parametrize("under", ["homestead", "osaka"])
def test_every_program_runs_until_its_gas_is_gone(under: str) -> None:
    old = under == "homestead"
    wrong = {}
    for case in [*opcodes.cases(GAS, old=old), *precompiles.cases(GAS, old=old)]:
        found = call(case, under)
        # Programs whose effects stay end a little before.
        ended = (found.status == "halt" and found.error == "out of gas") or (
            found.status == "success" and found.gas_used > 0.3 * case.gas
        )
        if not ended:
            wrong[case.name] = (found.status, found.error, found.gas_used)
    assert not wrong, wrong


def test_every_opcode_has_a_case() -> None:
    names = {case.name.split()[0].rstrip(",") for case in opcodes.cases(GAS)}
    kinds = {f"{kind}{number}" for kind in ("DUP", "SWAP", "PUSH") for number in range(1, 33)}
    missing = set(OPCODES) - names - kinds
    assert missing == set()


@pytest.mark.parametrize("one", precompiles.calls(), ids=lambda one: one.name)
def test_every_precompile_takes_its_input(one: precompiles.Call) -> None:
    length = len(one.data)
    copied = code("CALLDATASIZE 0 0 CALLDATACOPY")
    asked = code(f"32 {length + 64} {length} 0 0 {one.address} {one.gas or 'GAS'} CALL 0 MSTORE 32 0 RETURN")
    case = program(one.name, "test", copied + asked, 60_000_000, data=one.data)
    found = call(case, "osaka")
    # A point evaluation that fails at the end of its work costs what one that succeeds does.
    assert int.from_bytes(found.output, "big") == (one.gas == 0)


def test_a_program_pushes_numbers_and_knows_its_opcodes() -> None:
    assert code("1 0x0100 ADD PUSH0 CLZ") == bytes.fromhex("60016101000" + "15f1e")
    assert push(0) == b"\x60\0"
    assert push(WORD_MAX) == b"\x7f" + b"\xff" * 32
    with pytest.raises(KeyError):
        code("ADDD")
    body = code("1 POP")
    assert endless(body, b"\x58", size=20) == b"\x58\x5b" + body * 5 + b"\x60\1\x56"
    assert until(body, 9)[-1] == 0


def test_hints_name_what_a_case_reads() -> None:
    spec = rules.chain("osaka")
    for case in [*opcodes.storage(GAS), *opcodes.accounts(GAS), *attacks.cases("osaka", GAS)]:
        if case.name != "BLOCKHASH" and case.name != "suicides":  # hashes of blocks and new addresses are not told
            assert measure.run(case, spec, hinted=measure.hints(case)).rounds == 1, case.name


def test_a_block_by_any_runner_and_without_a_list_is_the_same() -> None:
    spec = rules.chain("osaka", {"gas": {"stateReadPercent": 300}, "stateGrowth": {"blockItemsMax": 1_000}})
    case = attacks.many(attacks.suicide_flood(600_000, "osaka"), 3)
    wanted = measure.run(case, spec, hinted=measure.hints(case)).result
    for runner in ("auto", "window", "stm", "access-list"):
        found = measure.run(case, spec, runner=runner).result
        assert (found.write_set, found.gas_used) == (wanted.write_set, wanted.gas_used)


def test_dearer_reads_leave_fewer_of_them() -> None:
    case = program("SLOAD", "test", endless(code("DUP1 SLOAD POP 1 ADD"), push(0)), GAS)
    plain, dear = (
        measure.run(case, rules.chain("osaka", {"gas": {"stateReadPercent": percent}})).reads for percent in (100, 500)
    )
    assert 4.5 < plain / dear < 5.5
