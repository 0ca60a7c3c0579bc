"""`hansa evm`: what it prints, how it ends, and what a transition comes to."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hansa_kernel
import pytest
from hansa.cli.main import app, run
from hansa.conformance import Job, Setting, find_test_files, run_jobs

Hansa = Callable[..., tuple[int, str, str]]

KEY = "0x41f6e321b31e72173f8ff2e292359e1862f24fba42fe6f97efaf641980eff298"
SENDER = "0xd02d72e067e77158444ef2020ff2d325f929b363"
RECIPIENT = "0x1111111111111111111111111111111111111111"
MINER = "0x2adc25665018aa1fe0e6bc666dac8fc2697ff9ba"
EMPTY_LOGS = "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"


@pytest.fixture
def hansa(capsys: pytest.CaptureFixture[str]) -> Hansa:
    """Run the command line in this process: (exit status, standard output, standard error)."""

    def call(*arguments: str) -> tuple[int, str, str]:
        status = run(lambda: app(list(arguments)))
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def transfer(nonce: int, value: int = 7) -> dict[str, Any]:
    return {
        "type": "0x0", "nonce": hex(nonce), "gas": "0x5208", "gasPrice": "0xa", "to": RECIPIENT, "value": hex(value),
        "input": "0x", "v": "0x0", "r": "0x0", "s": "0x0", "secretKey": KEY,
    }  # fmt: skip


def inputs(folder: Path, txs: list[dict[str, Any]], **env: Any) -> list[str]:
    """Files of a transition, and the flags that name them."""
    files: dict[str, Any] = {
        "alloc": {SENDER: {"balance": hex(10**18)}},
        "env": {
            "currentCoinbase": MINER, "currentDifficulty": "0x20000", "currentGasLimit": "0x989680",
            "currentNumber": "1", "currentTimestamp": "1000", **env,
        },
        "txs": txs,
    }  # fmt: skip
    for name, value in files.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    return [f"--input.{name}={folder / f'{name}.json'}" for name in files]


def shown() -> list[str]:
    return [f"--output.{name}=stdout" for name in ("result", "alloc", "body")]


def test_transition_moves_value_and_rejects_in_geths_words(hansa: Hansa, tmp_path: Path) -> None:
    flags = inputs(tmp_path, [transfer(0), transfer(0), transfer(1)])
    status, out, _ = hansa("evm", "t8n", *flags, "--state.fork=Berlin", *shown())
    made = json.loads(out)
    assert status == 0
    assert made["alloc"][RECIPIENT] == {"balance": "0xe"}
    assert made["alloc"][SENDER]["nonce"] == "0x2"
    assert made["alloc"][MINER] == {"balance": hex(2 * 21_000 * 10)}
    assert [receipt["gasUsed"] for receipt in made["result"]["receipts"]] == ["0x5208", "0x5208"]
    assert made["result"]["rejected"] == [
        {"index": 1, "error": "nonce too low: address 0xd02d72E067e77158444ef2020Ff2d325f929B363, tx: 0 state: 1"}
    ]
    assert made["body"].startswith("0xf8")


def test_reward_and_ommers_are_paid(hansa: Hansa, tmp_path: Path) -> None:
    flags = inputs(tmp_path, [], ommers=[{"delta": 1, "address": RECIPIENT}])
    _, out, _ = hansa("evm", "t8n", *flags, "--state.fork=Byzantium", "--state.reward=3200", *shown())
    alloc = json.loads(out)["alloc"]
    assert (alloc[MINER]["balance"], alloc[RECIPIENT]["balance"]) == (hex(3300), hex(2800))


def test_output_goes_to_files_below_the_base_folder(hansa: Hansa, tmp_path: Path) -> None:
    flags = inputs(tmp_path, [transfer(0)])
    status, out, _ = hansa("evm", "t8n", *flags, "--state.fork=London", "--state.reward=-1",
                           f"--output.basedir={tmp_path / 'out'}", "--output.body=txs.rlp")  # fmt: skip
    assert (status, out) == (3, "")  # London needs a base fee
    flags = inputs(tmp_path, [transfer(0)], currentBaseFee="0x7")
    status, out, _ = hansa("evm", "t8n", *flags, "--state.fork=London",
                           f"--output.basedir={tmp_path / 'out'}", "--output.body=txs.rlp")  # fmt: skip
    assert (status, out) == (0, "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["alloc.json", "result.json", "txs.rlp"]
    assert json.loads((tmp_path / "out" / "result.json").read_text())["currentBaseFee"] == "0x7"


@pytest.mark.parametrize(
    ("flag", "status"),
    [
        ("--state.fork=Frontier+1346", 3),
        ("--state.reward=much", 3),
        ("--input.alloc=/nowhere", 11),
        ("--input.txs=TMP/broken", 10),
        ("--input.txs=TMP/cut.rlp", 12),
    ],
)
def test_bad_transitions_have_geths_statuses(hansa: Hansa, tmp_path: Path, flag: str, status: int) -> None:
    (tmp_path / "broken").write_text("{")
    (tmp_path / "cut.rlp").write_text('"0xf852"')
    flags = [*inputs(tmp_path, []), "--state.fork=Berlin", flag.replace("TMP", str(tmp_path))]
    assert hansa("evm", "t8n", *flags, *shown())[0] == status


def test_missing_block_hash_has_a_status_of_its_own(hansa: Hansa, tmp_path: Path) -> None:
    flags = inputs(tmp_path, [transfer(0) | {"gas": "0xffff"}], currentNumber="5")
    code = {SENDER: {"balance": hex(10**18)}, RECIPIENT: {"balance": "0x0", "code": "0x600140"}}
    (tmp_path / "alloc.json").write_text(json.dumps(code))
    status, _, err = hansa("evm", "t8n", *flags, "--state.fork=Berlin", *shown())
    assert status == 4
    assert "block 1" in err


@pytest.fixture
def state_test(tmp_path: Path) -> Path:
    """A state test of one transfer, with the root that a transition gives."""
    flags = inputs(tmp_path, [transfer(0)])
    alloc, given_env, txs = (Path(flag.partition("=")[2]).read_bytes() for flag in flags)
    made = json.loads(hansa_kernel.state_transition(alloc, given_env, txs, "Berlin", 1, 0))
    entry = {"hash": made["result"]["stateRoot"], "logs": EMPTY_LOGS, "indexes": {"data": 0, "gas": 0, "value": 0}}
    wrong = entry | {"hash": "0x" + "11" * 32}
    env = json.loads(given_env)
    tx = {"nonce": "0x0", "gasPrice": "0xa", "gasLimit": ["0x5208"], "value": ["0x7"], "data": ["0x"], "to": RECIPIENT,
          "secretKey": KEY}  # fmt: skip
    case = {
        "env": env,
        "pre": json.loads(alloc),
        "transaction": tx,
        "post": {"Berlin": [entry], "Istanbul": [wrong]},
    }
    folder = tmp_path / "tests"
    (folder / ".meta").mkdir(parents=True)
    (folder / ".meta" / "index.json").write_text("[]")
    (folder / "one.json").write_text(json.dumps({"one": case}))
    return folder


def test_statetest_counts_and_ends_with_1_when_a_case_fails(hansa: Hansa, state_test: Path) -> None:
    status, out, _ = hansa("evm", "statetest", str(state_test), "--processes=1")
    assert status == 1
    assert out.splitlines()[-1] == "1 passed, 1 failed, 0 skipped"
    assert "✗ one/d0g0v0 (Istanbul): state root" in out


@pytest.mark.parametrize("more", [[], ["--cold"], ["--threads=2"]])
def test_statetest_of_one_fork_as_json(hansa: Hansa, state_test: Path, more: list[str]) -> None:
    status, out, _ = hansa("evm", "statetest", str(state_test), "--fork=Berlin", "--json", "--processes=1", *more)
    first, last = out.splitlines()
    assert status == 0
    assert json.loads(first) == {"name": "one/d0g0v0", "fork": "Berlin", "pass": True, "error": ""}
    assert last == "1 passed, 0 failed, 0 skipped"


def test_statetest_traces_to_standard_error(hansa: Hansa, state_test: Path) -> None:
    flags = ["--fork=Berlin", "--processes=1", "--trace", "--trace.callframes"]
    status, _, err = hansa("evm", "statetest", str(state_test), *flags)
    begin, end, summary = (json.loads(line) for line in err.splitlines())
    assert status == 0
    assert (begin["type"], begin["to"], begin["value"]) == ("CALL", RECIPIENT, "0x7")
    assert end == {"gasUsed": "0x0", "output": ""}
    assert (summary["test"], summary["fork"], summary["gasUsed"], summary["pass"]) == (
        "one/d0g0v0",
        "Berlin",
        hex(21_000),
        True,
    )


def test_unknown_part_of_a_trace_is_named() -> None:
    with pytest.raises(hansa_kernel.KernelInputError, match="call-frames"):
        hansa_kernel.run_conformance("state", "", b"{}", trace=["colours"])


def test_unknown_runner_is_wrong_usage(hansa: Hansa, state_test: Path) -> None:
    status, _, err = hansa("evm", "blocktest", str(state_test), "--runner=quantum")
    assert status == 2
    assert "sequential, window, stm, access-list" in err


def test_file_of_another_kind_fails_by_name(state_test: Path) -> None:
    (result,) = run_jobs([Job("block", state_test / "one.json", Setting())], processes=1, threads=1)
    (case,) = result.cases
    assert not case.passed
    assert "a block test with `network`" in case.error


def test_missing_path_is_named(hansa: Hansa, tmp_path: Path) -> None:
    status, _, err = hansa("evm", "statetest", str(tmp_path / "nowhere"))
    assert status == 1
    assert "nowhere" in err


def test_hidden_folders_hold_no_tests(state_test: Path) -> None:
    assert find_test_files([state_test]) == [state_test / "one.json"]


ADD = "60016001015f5260205ff3"
"""1 + 1, returned."""


def test_run_prints_what_the_code_returns(hansa: Hansa) -> None:
    status, out, err = hansa("evm", "run", f"--code={ADD}")
    assert (status, out, err) == (0, "0x" + "2".rjust(64, "0") + "\n", "")


def test_run_as_json_traces_each_step_and_ends_with_a_summary(hansa: Hansa) -> None:
    status, out, _ = hansa("evm", "run", f"--code=0x{ADD}", "--json", "--gas=100", "--fork=Shanghai")
    first, second, *_, last = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert first == {"pc": 0, "op": 96, "gas": "0x64", "gasCost": "0x3", "memSize": 0, "stack": [], "depth": 1,
                     "refund": 0, "opName": "PUSH1"}  # fmt: skip
    assert (second["gas"], second["stack"]) == ("0x61", ["0x1"])
    assert last["output"] == "2".rjust(64, "0")
    assert (last["gasUsed"], last["pass"], last["fork"]) == (hex(22), True, "Shanghai")


@pytest.mark.parametrize(("fork", "cost"), [("London", "0xa28"), ("Shanghai", "0x64")])
def test_the_beneficiary_is_warm_from_shanghai_on(hansa: Hansa, tmp_path: Path, fork: str, cost: str) -> None:
    (tmp_path / "genesis.json").write_text(json.dumps({"coinbase": MINER, "difficulty": "0x1"}))
    prestate = f"--prestate={tmp_path / 'genesis.json'}"
    _, out, _ = hansa("evm", "run", "--code=413100", "--json", f"--state.fork={fork}", prestate)
    coinbase, balance, *_ = [json.loads(line) for line in out.splitlines()]
    assert (coinbase["opName"], balance["opName"], balance["gasCost"]) == ("COINBASE", "BALANCE", cost)


def test_code_that_fails_uses_all_gas_and_ends_with_1(hansa: Hansa) -> None:
    status, out, _ = hansa("evm", "run", "--code=6000ef", "--gas=1000", "--json")
    *_, failing, last = [json.loads(line) for line in out.splitlines()]
    assert status == 1
    assert "invalid opcode" in failing["error"]
    assert (last["gasUsed"], last["pass"]) == ("0x3e8", False)


def test_created_code_and_storage_are_dumped(hansa: Hansa) -> None:
    # Stores 7 in slot 1, and returns one byte of code.
    status, out, _ = hansa("evm", "run", "--create", "--code=600760015560015ff3", "--dump")
    output, dump = out.splitlines()
    created = next(account for account in json.loads(dump).values() if "code" in account)
    assert status == 0
    assert output == "0x00"
    assert created["storage"] == {"0x" + "1".rjust(64, "0"): "0x" + "7".rjust(64, "0")}


@pytest.mark.parametrize("flag", ["--code=6x", "--value=-1", "--sender=0x" + "11" * 21, "--state.fork=Atlantis"])
def test_bad_run_is_refused(hansa: Hansa, flag: str) -> None:
    assert hansa("evm", "run", flag)[0] == 3
