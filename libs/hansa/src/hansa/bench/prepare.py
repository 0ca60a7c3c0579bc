"""What is done before the clock starts: accounts, their money, the token, and all signatures."""

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import hansa_kernel

from hansa.bench.limits import CALLS_PER_BATCH, FUND_IN_FLIGHT_MAX, SETUP_SECONDS_MAX, SIGN_CHUNK
from hansa.jsonrpc import RpcClient, RpcError
from hansa.packing import chunks, pack, unpack

TRANSFER_GAS: Final = 21_000
TOKEN_GAS: Final = 56_000
"""An OpenZeppelin transfer to a new holder takes some 51,500."""

FEE_FACTOR: Final = 100
"""Fee cap as a multiple of the base fee at the start, so that load does not price itself out; bounded by the money."""

GIVE_HOLDERS: Final = 200
"""Token holders per transaction of the set-up: about 5 million gas."""

TOKENS_EACH: Final = 10**24

Say = Callable[[str], None]


class SetupFailed(Exception):
    """Accounts could not be funded, or the token could not be deployed."""


@dataclass(frozen=True, slots=True)
class Fees:
    """Wei per gas."""

    max_fee: int
    tip: int


@dataclass(frozen=True, slots=True)
class Setup:
    """Funded accounts of a run."""

    chain_id: int
    keys: tuple[bytes, ...]
    addresses: tuple[bytes, ...]
    recipients: tuple[bytes, ...]
    fees: Fees
    token: bytes | None


@dataclass(slots=True)
class Prepared:
    """Signed transactions of one connection, in the order in which they are sent."""

    url: str
    raw: list[bytes]  # hex without 0x, as it stands in the request
    hashes: list[bytes]
    recipients: list[int]  # index of each one's recipient
    is_token: list[bool]


def make_keys(seed: bytes, count: int) -> tuple[bytes, ...]:
    """Secret keys from a seed; each below the group order with overwhelming probability."""
    return tuple(chunks(hansa_kernel.keccak_batch(pack(seed + i.to_bytes(4, "big") for i in range(count))), 32))


def set_up(
    node: RpcClient, *, funder: bytes, senders: int, recipients: int, each_max: int, workload: str, say: Say
) -> Setup:
    """Make and fund accounts on the node's chain. `each_max`: transactions that a sender will send at most.

    Raises `SetupFailed`, and what the client raises.
    """
    seed = secrets.token_bytes(32)
    keys = make_keys(seed + b"senders", senders)
    addresses = tuple(chunks(hansa_kernel.address_of_secret_keys(b"".join(keys)), 20))
    targets = tuple(hash_[12:] for hash_ in make_keys(seed + b"recipients", recipients))
    chain_id = int(node.call("eth_chainId"), 16)
    head = node.call("eth_getBlockByNumber", "latest", False)
    base_fee = int(head.get("baseFeePerGas") or "0x0", 16)
    gas = TRANSFER_GAS if workload == "transfer" else TOKEN_GAS
    account = _Account(
        node, chain_id, funder, Fees(4 * base_fee + (10**9 if base_fee else 0), 10**9 if base_fee else 0)
    )
    budget = int(node.call("eth_getBalance", account.address, "latest"), 16) // (2 * senders)
    fees = Fees(0, 0)
    if base_fee:
        affordable = budget // (each_max * gas + 1)
        fees = Fees(min(FEE_FACTOR * base_fee, affordable), min(10**9, affordable))
        if fees.max_fee < base_fee:
            raise SetupFailed(
                f"account {account.address} cannot pay for {senders} senders; name a richer one: --funder"
            )
    each = each_max * (fees.max_fee * gas + 1) + 10**9
    if each > budget:
        raise SetupFailed(f"account {account.address} has too little: {senders} senders need {each} wei each")
    say(f"funding {senders} senders")
    account.fund(addresses, each)
    token = None
    if workload != "transfer":
        say("deploying the token and handing it out")
        token = account.deploy_token()
        account.give(token, addresses)
    return Setup(chain_id, keys, addresses, targets, fees, token)


def sign_all(setup: Setup, urls: list[str], *, connections: int, total: int, workload: str, say: Say) -> list[Prepared]:
    """Sign `total` transactions and deal them out: senders to connections, connections to URLs, round robin.

    Every sender sends through one connection only, so its nonces arrive in order.
    """
    count = len(urls) * connections
    count = min(count, len(setup.keys))
    say(f"signing {total} transactions")
    prepared: list[Prepared] = []
    for number in range(count):
        mine = range(number, len(setup.keys), count)
        share = total // count + (number < total % count)
        prepared.append(_sign_share(setup, urls[number % len(urls)], list(mine), share, number, workload))
    return prepared


def _sign_share(setup: Setup, url: str, senders: list[int], share: int, salt: int, workload: str) -> Prepared:
    done = Prepared(url, [], [], [], [])
    width = len(senders)
    for begin in range(0, share, SIGN_CHUNK):
        indices = range(begin, min(begin + SIGN_CHUNK, share))
        # A step that shares no factor with most counts visits recipients evenly.
        targets = [(k * 7919 + salt * 104_729) % len(setup.recipients) for k in indices]
        tokens = [workload == "erc20" or (workload == "mixed" and k % 2 == 1) for k in indices]
        signed: list[bytes] = [b""] * len(indices)
        for is_token in (False, True):
            chosen = [place for place, kind in enumerate(tokens) if kind is is_token]
            if not chosen:
                continue
            packed = _sign(
                setup,
                [setup.keys[senders[indices[place] % width]] for place in chosen],
                [indices[place] // width for place in chosen],
                [setup.recipients[targets[place]] for place in chosen],
                is_token=is_token,
            )
            for place, raw in zip(chosen, unpack(packed), strict=True):
                signed[place] = raw
        done.hashes += chunks(hansa_kernel.keccak_batch(pack(signed)), 32)
        done.raw += [raw.hex().encode() for raw in signed]
        done.recipients += targets
        done.is_token += tokens
    return done


def _sign(setup: Setup, keys: list[bytes], nonces: list[int], to: list[bytes], *, is_token: bool) -> bytes:
    count = len(keys)
    if is_token:
        assert setup.token is not None, "a token workload has a token"
        data = pack(_TRANSFER + bytes(12) + address + (1).to_bytes(32, "big") for address in to)
        targets, value, gas = setup.token * count, bytes(32), TOKEN_GAS
    else:
        data, targets, value, gas = bytes(4 * count), b"".join(to), (1).to_bytes(32, "big"), TRANSFER_GAS
    return hansa_kernel.sign_transactions(
        chain_id=setup.chain_id,
        secret_keys=b"".join(keys),
        nonces=b"".join(nonce.to_bytes(8, "big") for nonce in nonces),
        to=targets,
        values_wei=value * count,
        data=data,
        gas_limit=gas,
        max_fee_per_gas=setup.fees.max_fee,
        max_priority_fee_per_gas=setup.fees.tip,
    )


_TRANSFER: Final = bytes.fromhex("a9059cbb")  # transfer(address,uint256)
_BALANCE_OF: Final = bytes.fromhex("70a08231")  # balanceOf(address)


def read_balances(node: RpcClient, addresses: list[bytes], token: bytes | None) -> list[int]:
    """Balances at the newest block: of the token, or in wei without one."""
    found: list[int] = []
    for begin in range(0, len(addresses), CALLS_PER_BATCH):
        part = addresses[begin : begin + CALLS_PER_BATCH]
        calls: list[tuple[str, list[Any]]] = [
            ("eth_getBalance", ["0x" + address.hex(), "latest"])
            if token is None
            else (
                "eth_call",
                [{"to": "0x" + token.hex(), "data": "0x" + (_BALANCE_OF + bytes(12) + address).hex()}, "latest"],
            )
            for address in part
        ]
        for result in node.batch(calls):
            if isinstance(result, RpcError):
                raise result
            found.append(int(result, 16))
    return found


class _Account:
    """The account that pays: sends, and waits until what it sent is committed."""

    def __init__(self, node: RpcClient, chain_id: int, secret: bytes, fees: Fees) -> None:
        self._node = node
        self._chain_id = chain_id
        self._secret = secret
        self._fees = fees
        self.address = "0x" + hansa_kernel.address_of_secret_keys(secret).hex()

    def fund(self, addresses: tuple[bytes, ...], wei: int) -> None:
        """Give `wei` to each."""
        for begin in range(0, len(addresses), FUND_IN_FLIGHT_MAX):
            part = addresses[begin : begin + FUND_IN_FLIGHT_MAX]
            nonce = self._nonce()
            packed = hansa_kernel.sign_transactions(
                chain_id=self._chain_id,
                secret_keys=self._secret * len(part),
                nonces=b"".join((nonce + i).to_bytes(8, "big") for i in range(len(part))),
                to=b"".join(part),
                values_wei=wei.to_bytes(32, "big") * len(part),
                data=bytes(4 * len(part)),
                gas_limit=TRANSFER_GAS,
                max_fee_per_gas=self._fees.max_fee,
                max_priority_fee_per_gas=self._fees.tip,
            )
            self._send(unpack(packed))
            self._wait(nonce + len(part))

    def deploy_token(self) -> bytes:
        """Address of a new token."""
        from hansa.cli.signing import Transaction, sign

        artefact = json.loads(files("hansa.bench").joinpath("token.json").read_bytes())
        nonce = self._nonce()
        raw = sign(
            Transaction(
                chain_id=self._chain_id,
                nonce=nonce,
                to=None,
                value=0,
                data=bytes.fromhex(artefact["bytecode"][2:]),
                gas_limit=3_000_000,
                max_fee_per_gas=self._fees.max_fee,
                max_priority_fee_per_gas=self._fees.tip,
            ),
            self._secret,
        )
        self._send([raw])
        self._wait(nonce + 1)
        receipt = self._node.call("eth_getTransactionReceipt", "0x" + hansa_kernel.keccak(raw).hex())
        if receipt is None or int(receipt["status"], 16) != 1:
            raise SetupFailed(f"the token was not deployed: {receipt}")
        return bytes.fromhex(receipt["contractAddress"][2:])

    def give(self, token: bytes, holders: tuple[bytes, ...]) -> None:
        """Hand tokens to all holders."""
        selector = hansa_kernel.keccak(b"give(address[],uint256)")[:4]
        parts = [holders[i : i + GIVE_HOLDERS] for i in range(0, len(holders), GIVE_HOLDERS)]
        nonce = self._nonce()
        data = [
            selector
            + (64).to_bytes(32, "big")
            + TOKENS_EACH.to_bytes(32, "big")
            + len(part).to_bytes(32, "big")
            + b"".join(bytes(12) + holder for holder in part)
            for part in parts
        ]
        packed = hansa_kernel.sign_transactions(
            chain_id=self._chain_id,
            secret_keys=self._secret * len(parts),
            nonces=b"".join((nonce + i).to_bytes(8, "big") for i in range(len(parts))),
            to=token * len(parts),
            values_wei=bytes(32) * len(parts),
            data=pack(data),
            gas_limit=200_000 + 30_000 * GIVE_HOLDERS,
            max_fee_per_gas=self._fees.max_fee,
            max_priority_fee_per_gas=self._fees.tip,
        )
        self._send(unpack(packed))
        self._wait(nonce + len(parts))
        last = read_balances(self._node, [holders[0], holders[-1]], token)
        if last != [TOKENS_EACH, TOKENS_EACH]:
            raise SetupFailed(f"tokens were not handed out (balances {last})")

    def _nonce(self) -> int:
        return int(self._node.call("eth_getTransactionCount", self.address, "pending"), 16)

    def _send(self, raws: list[bytes]) -> None:
        for begin in range(0, len(raws), CALLS_PER_BATCH):
            part = raws[begin : begin + CALLS_PER_BATCH]
            for result in self._node.batch([("eth_sendRawTransaction", ["0x" + raw.hex()]) for raw in part]):
                if isinstance(result, RpcError):
                    raise SetupFailed(f"a transaction of the set-up was refused: {result}")

    def _wait(self, nonce: int) -> None:
        deadline = time.monotonic() + SETUP_SECONDS_MAX
        while int(self._node.call("eth_getTransactionCount", self.address, "latest"), 16) < nonce:
            if time.monotonic() > deadline:
                raise SetupFailed(f"transactions of the set-up are not committed after {SETUP_SECONDS_MAX:g} s")
            time.sleep(0.05)
