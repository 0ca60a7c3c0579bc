"""The command line: what it prints, how it ends, and how arguments become bytes."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import hansa_kernel
import pytest
from eth_abi.abi import encode
from eth_account import Account
from hansa.chainspec import TEST_ADDRESSES, TEST_KEYS
from hansa.cli import abi
from hansa.cli.compile import load_contract
from hansa.cli.main import app, run
from hansa.cli.output import CommandFailed
from hansa.cli.signing import Transaction, sign
from hansa.cli.target import amount_wei, block_id, shown_amount
from hansa.jsonrpc import NodeUnreachable, RpcClient, RpcError


class Node:
    """Answers JSON-RPC from a table, over a real socket."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, Any]] = []
        node = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                answer = [node.answer(call) for call in body] if isinstance(body, list) else node.answer(body)
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, call: dict[str, Any]) -> Any:
        self.asked.append((call["method"], call["params"]))
        if call["method"] not in self.answers:
            return {"jsonrpc": "2.0", "id": call["id"], "error": {"code": -32601, "message": "no such method"}}
        found = self.answers[call["method"]]
        if isinstance(found, bytes):
            return found
        return {"jsonrpc": "2.0", "id": call["id"], "result": found}


@pytest.fixture
def node() -> Iterator[Node]:
    found = Node()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def hansa(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process: (exit status, standard output, standard error)."""

    def call(*arguments: str) -> tuple[int, str, str]:
        status = run(lambda: app(list(arguments)))
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


Hansa = Callable[..., tuple[int, str, str]]


def test_version_is_printed_as_json(hansa: Hansa) -> None:
    status, out, _ = hansa("version", "--json")
    assert status == 0
    assert json.loads(out)["kernel"] == hansa_kernel.VERSION


def test_unknown_command_is_wrong_usage(hansa: Hansa) -> None:
    assert hansa("nonsense")[0] == 2


def test_bad_address_is_wrong_usage(hansa: Hansa, node: Node) -> None:
    status, _, err = hansa("balance", "0x12", "--rpc", node.url)
    assert status == 2
    assert "40 hex digits" in err


def test_nobody_answering_has_its_own_status(hansa: Hansa) -> None:
    status, _, err = hansa("balance", "0", "--rpc", "http://127.0.0.1:9")
    assert status == 3
    assert "does not answer" in err


def test_error_of_the_node_is_a_failure(hansa: Hansa, node: Node) -> None:
    status, _, err = hansa("rpc", "eth_nothing", "--rpc", node.url)
    assert status == 1
    assert "no such method (code -32601)" in err


def test_balance_is_shown_in_whole_coins(hansa: Hansa, node: Node) -> None:
    node.answers["eth_getBalance"] = hex(15 * 10**17)
    assert hansa("balance", "0", "--rpc", node.url) == (0, "1.5\n", "")
    _, out, _ = hansa("balance", "0", "--json", "--rpc", node.url)
    assert json.loads(out)["balance_wei"] == str(15 * 10**17)


def test_missing_transaction_is_a_failure(hansa: Hansa, node: Node) -> None:
    node.answers["eth_getTransactionByHash"] = None
    assert hansa("tx", "0x" + "11" * 32, "--rpc", node.url)[0] == 1


def test_send_signs_what_the_node_says(hansa: Hansa, node: Node) -> None:
    node.answers |= {
        "eth_chainId": "0x539",
        "eth_getBlockByNumber": {"number": "0x1", "baseFeePerGas": "0x3b9aca00"},
        "eth_maxPriorityFeePerGas": "0x7",
        "eth_getTransactionCount": "0x5",
        "eth_estimateGas": "0x5208",
        "eth_sendRawTransaction": "0x" + "22" * 32,
        "eth_getTransactionReceipt": {
            "transactionHash": "0x" + "22" * 32, "blockNumber": "0x9", "gasUsed": "0x5208", "status": "0x1"
        },
    }  # fmt: skip
    status, out, _ = hansa("send", "1", "2ether", "--from", "0", "--rpc", node.url)
    assert status == 0
    assert "block        9" in out
    raw = next(params[0] for method, params in node.asked if method == "eth_sendRawTransaction")
    assert Account.recover_transaction(raw).lower() == "0x" + TEST_ADDRESSES[0].hex()


def test_account_of_another_scheme_is_made_and_sends(hansa: Hansa, node: Node, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.touch(0o600)
    password.write_text("secret")
    store = ["--keystore", str(tmp_path / "store"), "--password-file", str(password), "--light", "--json"]
    status, out, _ = hansa("account", "new", "--scheme", "ed25519", *store)
    assert status == 0
    made = json.loads(out)
    assert made["scheme"] == "ed25519"
    node.answers |= {
        "eth_chainId": "0x539",
        "eth_getBlockByNumber": {"number": "0x1", "baseFeePerGas": "0x0"},
        "eth_getTransactionCount": "0x5",
        "eth_estimateGas": "0x5208",
        "eth_sendRawTransaction": "0x" + "22" * 32,
    }
    signer = ["--keystore", made["file"], "--password-file", str(password)]
    ranges = ["--range", "0x" + "33" * 20, "--range", f"{made['address']}-{made['address']}"]
    status, _, err = hansa("send", "0x" + "33" * 20, *signer, *ranges, "--no-wait", "--rpc", node.url)
    assert (status, err) == (0, "")
    raw = bytes.fromhex(next(params[0] for method, params in node.asked if method == "eth_sendRawTransaction")[2:])
    assert raw[0] == 0x48
    assert bytes.fromhex(made["public_key"][2:]) in raw
    request = next(params[0] for method, params in node.asked if method == "eth_estimateGas")
    assert request["signatureScheme"] == "ed25519"
    assert {"first": "0x" + "33" * 20, "last": "0x" + "33" * 20} in request["addressRanges"]
    status, _, err = hansa("send", "1", *signer, "--scheme", "sm2", "--rpc", node.url)
    assert (status, "not of sm2" in err) == (2, True)


def test_schemes_are_listed_and_unknown_ones_named(hansa: Hansa, tmp_path: Path) -> None:
    _, out, _ = hansa("keys", "schemes", "--json")
    assert "ml-dsa-65" in [entry["name"] for entry in json.loads(out)]
    password = tmp_path / "password"
    password.touch(0o600)
    password.write_text("secret")
    store = ["--keystore", str(tmp_path), "--password-file", str(password), "--light"]
    status, _, err = hansa("account", "new", "--scheme", "rsa", *store)
    assert (status, "ed25519" in err) == (2, True)


def test_failed_transaction_is_a_failed_command(hansa: Hansa, node: Node) -> None:
    node.answers |= {
        "eth_chainId": "0x539",
        "eth_getBlockByNumber": {"number": "0x1", "baseFeePerGas": "0x0"},
        "eth_getTransactionCount": "0x0",
        "eth_estimateGas": "0x5208",
        "eth_sendRawTransaction": "0x" + "22" * 32,
        "eth_getTransactionReceipt": {
            "transactionHash": "0x" + "22" * 32, "blockNumber": "0x9", "gasUsed": "0x5208", "status": "0x0"
        },
    }  # fmt: skip
    status, _, err = hansa("send", "1", "--from", "0", "--rpc", node.url)
    assert status == 1
    assert "failed" in err


def test_test_keys_are_refused_on_mainnet(hansa: Hansa, node: Node) -> None:
    node.answers["eth_chainId"] = "0x1"
    status, _, err = hansa("send", "1", "--from", "0", "--rpc", node.url)
    assert status == 2
    assert "everybody knows" in err


def test_keys_and_genesis_from_entries(hansa: Hansa, tmp_path: Path) -> None:
    entries = []
    for number in (1, 2):
        folder = tmp_path / f"keys{number}"
        assert hansa("keys", "new", str(folder), "--name", f"member{number}", "--light")[0] == 0
        status, out, _ = hansa("keys", "show", str(folder), "--json", "--endpoint", f"host{number}:30303")
        assert status == 0
        assert "private" not in out.lower()
        entry = tmp_path / f"member{number}.json"
        entry.write_text(out)
        entries += ["--member", str(entry)]
    path = tmp_path / "chain.json"
    assert hansa("genesis", "new", *entries, "--out", str(path), "--fees")[0] == 0
    status, out, _ = hansa("genesis", "check", str(path), "--json")
    found = json.loads(out)
    assert (status, found["members"], found["zero_base_fee"]) == (0, ["member1", "member2"], False)
    again, _, err = hansa("genesis", "new", *entries, "--out", str(path))
    assert (again, "exists already" in err) == (1, True)


def test_broken_chain_spec_is_a_failure(hansa: Hansa, tmp_path: Path) -> None:
    (tmp_path / "chain.json").write_text("{}")
    status, _, err = hansa("genesis", "check", str(tmp_path / "chain.json"))
    assert status == 1
    assert "config" in err


def test_account_is_made_and_listed(hansa: Hansa, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.touch(0o600)
    password.write_text("secret")
    store = str(tmp_path / "store")
    status, out, _ = hansa("account", "new", "--keystore", store, "--password-file", str(password), "--light", "--json")
    assert status == 0
    made = json.loads(out)
    assert "private_key" not in made
    _, out, _ = hansa("account", "list", "--keystore", store, "--json", "--rpc", "http://127.0.0.1:9")
    assert [entry["address"] for entry in json.loads(out)] == [made["address"]]


def test_password_file_that_others_may_read_is_refused(hansa: Hansa, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.touch(0o644)
    status, _, err = hansa("account", "new", "--keystore", str(tmp_path), "--password-file", str(password), "--light")
    assert status == 1
    assert "chmod 600" in err


def test_commands_without_a_consortium_say_how_to_start_one(hansa: Hansa, tmp_path: Path) -> None:
    for command in ("status", "logs"):
        status, _, err = hansa(command, "--data", str(tmp_path / "none"))
        assert (status, "hansa up" in err) == (1, True)


def test_wipe_leaves_foreign_folders_alone(hansa: Hansa, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("x")
    status, _, err = hansa("down", "--wipe", "--data", str(tmp_path))
    assert (status, (tmp_path / "precious.txt").exists()) == (1, True)
    assert "no consortium" in err


def test_up_refuses_a_folder_with_other_things(hansa: Hansa, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("x")
    status, _, err = hansa("up", "--data", str(tmp_path))
    assert (status, "other things" in err) == (1, True)


@pytest.mark.parametrize("engine", ["raft", ""])
def test_up_refuses_unknown_engines(hansa: Hansa, tmp_path: Path, engine: str) -> None:
    assert hansa("up", "--data", str(tmp_path / "c"), "--engine", engine)[0] == 2


@pytest.mark.parametrize(
    ("text", "wei"),
    [
        ("5", 5),
        ("0x10", 16),
        ("1ether", 10**18),
        ("0.5 ether", 5 * 10**17),
        ("3gwei", 3 * 10**9),
        ("7wei", 7),
        ("1e3", 1000),
    ],
)
def test_amounts(text: str, wei: int) -> None:
    assert amount_wei(text) == wei


@pytest.mark.parametrize("text", ["", "-1", "1.5", "0.1wei", "ether", "nan", "inf", "0x", "1e99"])
def test_bad_amounts_are_refused(text: str) -> None:
    with pytest.raises(CommandFailed):
        amount_wei(text)


def test_amounts_are_shown_exactly() -> None:
    assert [shown_amount(wei) for wei in (0, 1, 10**18, 1_500_000_000_000_000_000)] == [
        "0",
        "0.000000000000000001",
        "1",
        "1.5",
    ]


def test_block_ids() -> None:
    assert [block_id(text) for text in ("latest", "16", "0x10")] == ["latest", "0x10", "0x10"]
    with pytest.raises(CommandFailed):
        block_id("newest")


@pytest.mark.parametrize("to", [None, TEST_ADDRESSES[1]])
@pytest.mark.parametrize(("nonce", "value", "data"), [(0, 0, b""), (1, 10**18, b"\x01"), (300, 5, bytes(300))])
def test_signature_is_that_of_other_tools(to: bytes | None, nonce: int, value: int, data: bytes) -> None:
    raw = sign(Transaction(1337, nonce, to, value, data, 100_000, 10, 2), TEST_KEYS[0])
    fields = {"type": 2, "chainId": 1337, "nonce": nonce, "value": value, "data": data, "gas": 100_000}
    fees = {"maxFeePerGas": 10, "maxPriorityFeePerGas": 2}
    expected = Account.sign_transaction(fields | fees | ({} if to is None else {"to": to}), TEST_KEYS[0])
    assert raw == bytes(expected.raw_transaction)


def test_bad_key_is_refused() -> None:
    with pytest.raises(CommandFailed, match="secp256k1"):
        sign(Transaction(1, 0, None, 0, b"", 21_000, 0, 0), bytes(32))


def test_call_data_is_that_of_the_abi() -> None:
    address = "0x" + TEST_ADDRESSES[1].hex()
    data = abi.encode_call("transfer(address,uint256)", ["1", "2ether"])
    assert data == bytes.fromhex("a9059cbb") + encode(["address", "uint256"], [address, 2 * 10**18])
    nested = abi.encode_call("f(uint8[],(bool,string),bytes)", ["[1,2]", "(true,hi)", "0x0102"])
    assert nested[4:] == encode(["uint8[]", "(bool,string)", "bytes"], [[1, 2], (True, "hi"), b"\x01\x02"])
    assert abi.encode_call("f()", []) == hansa_kernel.keccak(b"f()")[:4]
    assert abi.encode_call("f(uint a)".replace(" a", ""), ["1"])[:4] == hansa_kernel.keccak(b"f(uint256)")[:4]


@pytest.mark.parametrize(
    ("signature", "arguments"),
    [
        ("f(uint256)", []),
        ("f(uint256)", ["x"]),
        ("f(uint8)", ["300"]),
        ("f(bool)", ["1"]),
        ("f(address)", ["0x12"]),
        ("f(uint256[])", ["1,2"]),
        ("f(nothing)", ["1"]),
        ("f(uint256", ["1"]),
        ("(uint256)", ["1"]),
        ("f", []),
    ],
)
def test_bad_arguments_are_wrong_usage(signature: str, arguments: list[str]) -> None:
    with pytest.raises(CommandFailed) as failed:
        abi.encode_call(signature, arguments)
    assert failed.value.status == 2


def test_results_are_decoded() -> None:
    data = encode(["uint256", "string", "address[]"], [2**70, "hi", ["0x" + "11" * 20]])
    assert abi.decode_result("f(uint8)(uint256,string,address[])", data) == [str(2**70), "hi", ["0x" + "11" * 20]]
    assert abi.decode_result("f()", data) is None
    with pytest.raises(CommandFailed):
        abi.decode_result("f()(uint256)", b"")


def test_artefacts_of_several_compilers_are_read(tmp_path: Path) -> None:
    types = [
        {"type": "constructor", "inputs": [{"type": "uint256"}, {"type": "tuple[]", "components": [{"type": "bool"}]}]}
    ]
    for number, document in enumerate(
        (
            {"bytecode": "0x6000", "abi": types},
            {"bytecode": {"object": "6000"}, "abi": types},
            {"evm": {"bytecode": {"object": "6000"}}, "abi": types},
        )
    ):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(document))
        contract = load_contract(str(path))
        assert (contract.bytecode, contract.constructor) == (b"\x60\x00", ("uint256", "(bool)[]"))


@pytest.mark.parametrize(
    "text", ["", "{}", '{"bytecode": "0x"}', '{"bytecode": "0x60__$abc$__"}', '{"bytecode": "zz"}']
)
def test_what_is_no_contract_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(CommandFailed):
        load_contract(str(path))


def test_batch_keeps_order_and_errors(node: Node) -> None:
    node.answers["a"] = 1
    first, second = RpcClient(node.url).batch([("a", []), ("b", [])])
    assert first == 1
    assert isinstance(second, RpcError)


@pytest.mark.parametrize("answer", [b"", b"hello", b"[]", b"{}", b"null"])
def test_what_is_no_json_rpc_counts_as_unreachable(node: Node, answer: bytes) -> None:
    node.answers["a"] = answer
    with pytest.raises(NodeUnreachable):
        RpcClient(node.url).call("a")


@pytest.mark.parametrize("url", ["ftp://x", "nonsense", "http://", "http://host:port"])
def test_bad_urls_count_as_unreachable(url: str) -> None:
    with pytest.raises(NodeUnreachable):
        RpcClient(url)


def test_a_witness_is_written_and_checking_it_needs_something_to_trust(
    hansa: Hansa, node: Node, tmp_path: Path
) -> None:
    file = tmp_path / "block.witness"
    node.answers["hansa_getBlockWitness"] = {"blockHash": "0x" + "ab" * 32, "witness": "0x0102"}
    status, out, _ = hansa("proof", "witness", "7", "-o", str(file), "--rpc", node.url)
    assert (status, file.read_bytes()) == (0, b"\x01\x02")
    assert "2 bytes, block 0xabab" in out
    assert node.asked[-1] == ("hansa_getBlockWitness", ["0x7"])
    status, _, err = hansa("proof", "verify-block", str(file))
    assert (status, "what do you trust?" in err) == (2, True)
    status, _, err = hansa("proof", "verify-block", str(file), "--trusted-header-hash", "0x12")
    assert (status, "64 hex digits" in err) == (2, True)
    node.answers["hansa_getBlockWitness"] = None
    status, _, err = hansa("proof", "witness", "8", "--rpc", node.url)
    assert (status, err) == (1, "✗ there is no block 8\n")
