"""Waits until a consortium that was started works, and says why when it does not."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import hansa_kernel
import orjson

from hansa.consortium.errors import ConsortiumError
from hansa.consortium.folder import ConsortiumFolder, Shape
from hansa.consortium.status import rpc_url
from hansa.jsonrpc import NodeUnreachable, RpcClient, RpcError
from hansa.names import EXIT_REFUSED
from hansa.packing import pack, unpack
from hansa.supervise.plan import read_state
from hansa.test_accounts import TEST_ADDRESSES, TEST_KEYS

POLL_SECONDS: Final = 0.05
"""Pause between two questions: short beside the block time, long beside a call."""

TAIL_BYTES_MAX: Final = 64 << 10
"""How far back in a log the last words are looked for."""

TRANSFER_GAS: Final = 21_000

REFUSALS_MIN: Final = 3
"""Refused starts after which it is given up: the first may meet a port or lock that is just being let go."""


@dataclass(frozen=True, slots=True)
class FirstTransaction:
    """What became of the transaction that a start sends."""

    hash: str
    block_number: int
    block_hash: str
    first_block_number: int
    first_block_seconds: float  # from sending to the first new block seen
    seconds: float  # from sending to the receipt


def wait_for_members(
    folder: ConsortiumFolder, shape: Shape, deadline: float, progress: Callable[[int], None]
) -> dict[str, int]:
    """Wait until every member's JSON-RPC answers; returns heads. Raises `ConsortiumError` naming who does not."""
    heads: dict[str, int] = {}
    clients = {name: RpcClient(rpc_url(shape, name), 2.0) for name in shape.members}
    last: dict[str, str] = {}
    while True:
        for name, client in clients.items():
            if name in heads:
                continue
            try:
                if int(client.call("eth_chainId"), 16) != shape.chain_id:
                    raise ConsortiumError(
                        f"another chain answers at {client.url}",
                        "end that node, or use other ports: hansa up --ports BASE",
                    )
                heads[name] = int(client.call("eth_blockNumber"), 16)
                progress(len(heads))
            except (NodeUnreachable, RpcError, ValueError, TypeError) as error:
                last[name] = str(error)
        if len(heads) == len(clients):
            break
        refused = [name for name in shape.members if name not in heads and _is_refused(folder, name)]
        if refused or time.monotonic() > deadline:
            away = next(iter(refused or (name for name in shape.members if name not in heads)))
            raise ConsortiumError(f"{away} is not up: {last.get(away)}\n{explain(folder, away)}", remedy(folder, away))
        time.sleep(POLL_SECONDS)
    for client in clients.values():
        client.close()
    return heads


def first_transaction(folder: ConsortiumFolder, shape: Shape, deadline: float) -> FirstTransaction:
    """Send 1 HAN from test account 0 to account 1 through the first member and wait for its receipt.

    Raises `ConsortiumError` when it is refused or no block takes it until `deadline` (monotonic seconds).
    """
    member = shape.members[0]
    client = RpcClient(rpc_url(shape, member), 5.0)
    step = "asking for the nonce of account 0"
    begun = time.monotonic()
    first_block: tuple[int, float] | None = None
    sent: str | None = None
    while True:
        try:
            if sent is None:
                head = client.call("eth_getBlockByNumber", "latest", False)
                nonce = int(client.call("eth_getTransactionCount", "0x" + TEST_ADDRESSES[0].hex(), "pending"), 16)
                step = "sending a transaction"
                raw = sign_transfer(shape.chain_id, nonce, head)
                before = int(head["number"], 16)
                begun = time.monotonic()
                sent = client.call("eth_sendRawTransaction", "0x" + raw.hex())
                step = f"waiting for transaction {sent} to be committed"
            if first_block is None and (number := int(client.call("eth_blockNumber"), 16)) > before:
                first_block = (number, time.monotonic() - begun)
            receipt: dict[str, Any] | None = client.call("eth_getTransactionReceipt", sent)
            if receipt is not None:
                seconds = time.monotonic() - begun
                number = int(receipt["blockNumber"], 16)
                seen = first_block or (number, seconds)
                return FirstTransaction(sent, number, receipt["blockHash"], seen[0], seen[1], seconds)
        except (NodeUnreachable, RpcError) as error:
            if time.monotonic() > deadline:
                raise ConsortiumError(f"{step}: {error}\n{explain(folder, member)}", remedy(folder, member)) from error
        if time.monotonic() > deadline:
            worst = _worst(folder, shape)
            raise ConsortiumError(f"no success in time: {step}\n{explain(folder, worst)}", remedy(folder, worst))
        time.sleep(0.01)


def sign_transfer(chain_id: int, nonce: int, head: dict[str, Any]) -> bytes:
    """1 HAN from test account 0 to account 1; pays twice the base fee of `head` at most."""
    base_fee = int(head.get("baseFeePerGas") or "0x0", 16)
    tip = 1_000_000_000 if base_fee else 0
    packed = hansa_kernel.sign_transactions(
        chain_id=chain_id,
        secret_keys=TEST_KEYS[0],
        nonces=nonce.to_bytes(8, "big"),
        to=TEST_ADDRESSES[1],
        values_wei=(10**18).to_bytes(32, "big"),
        data=pack([b""]),
        gas_limit=TRANSFER_GAS,
        max_fee_per_gas=2 * base_fee + tip,
        max_priority_fee_per_gas=tip,
    )
    return unpack(packed)[0]


def explain(folder: ConsortiumFolder, member: str) -> str:
    """Which of a member's processes has trouble and its last words, for a person."""
    state = read_state(folder.run)
    lines = []
    for name, entry in sorted((state.processes if state else {}).items()):
        if name != member and not name.startswith(f"{member}-"):
            continue
        trouble = f", ended {entry.restarts} times, last with {entry.last_exit}" if entry.restarts else ""
        running = f"runs (process {entry.pid})" if entry.pid else "does not run"
        lines.append(f"  {name} {running}{trouble}")
        lines.append(
            f"  last line of {folder.logs / (name + '.log')}:\n    {last_words(folder.logs / (name + '.log'))}"
        )
    return "\n".join(lines) or "  the supervisor does not run"


def last_words(log: Path) -> str:
    """Last line of a log; of refusals and errors their text."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - TAIL_BYTES_MAX))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return "(no log)"
    # An error says more than what was logged while the process ended because of it.
    for line in (*(line for line in reversed(lines) if '"level":"error"' in line), *reversed(lines)):
        if line.strip():
            return _pretty(line)
    return "(empty)"


def _pretty(line: str) -> str:
    try:
        entry = orjson.loads(line)
        detail = next((entry[key] for key in ("error", "problem", "exception", "reason") if entry.get(key)), "")
        return f"{entry['level']}: {entry['event']} {str(detail).strip().splitlines()[-1] if detail else ''}".strip()[
            :500
        ]
    except (orjson.JSONDecodeError, KeyError, AttributeError, TypeError):
        return line[:500]


def remedy(folder: ConsortiumFolder, member: str) -> str:
    """What to do about a member that is not up."""
    return f"hansa logs {member} --data {folder.root} shows all; hansa down --wipe --data {folder.root} starts over"


def _is_refused(folder: ConsortiumFolder, member: str) -> bool:
    """Whether one of a member's processes has been refused its start repeatedly: waiting will not help."""
    state = read_state(folder.run)
    return state is not None and any(
        entry.restarts >= REFUSALS_MIN and entry.last_exit == EXIT_REFUSED
        for name, entry in state.processes.items()
        if name == member or name.startswith(f"{member}-")
    )


def _worst(folder: ConsortiumFolder, shape: Shape) -> str:
    """The member whose processes ended most often."""
    state = read_state(folder.run)

    def ends(member: str) -> int:
        processes = state.processes.items() if state else ()
        return sum(entry.restarts for name, entry in processes if name == member or name.startswith(f"{member}-"))

    return max(shape.members, key=ends)
