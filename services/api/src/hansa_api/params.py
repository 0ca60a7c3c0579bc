"""Strict parsers of JSON-RPC parameters, with geth's words for what is wrong.

Each parser takes a decoded JSON value and returns ours, or raises `Invalid`. Quantities have no leading zeros, data
has even length; everything else is refused.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import orjson

from hansa_api.limits import Limits

T = TypeVar("T")


class Invalid(ValueError):
    """A value that a parser refuses; the text has no position, the dispatcher adds it."""


class Unplaced(Invalid):
    """A value that is well-formed and still refused: geth says why without naming the argument."""


class _Malformed(Invalid):
    """Text that is no hex: where a Go type is expected, geth says which."""

    def of(self, go_type: str) -> Invalid:
        """The same, of that type."""
        return Invalid(f"json: cannot unmarshal {self} into Go value of type {go_type}")


_QUANTITY = re.compile(r"0x(?:0|[1-9a-fA-F][0-9a-fA-F]*)", re.ASCII)
_LATEST_TAGS = ("latest", "safe", "finalized")

U64_MAX = (1 << 64) - 1
U256_MAX = (1 << 256) - 1


def _hex_string(value: Any) -> str:
    if type(value) is not str:
        raise Invalid(f"json: cannot unmarshal {_kind(value)} into a hex string")
    if not value:
        raise _Malformed("empty hex string")
    if value[:2] != "0x":
        raise _Malformed("hex string without 0x prefix")
    return value


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def uint(value: Any, maximum: int = U256_MAX) -> int:
    """A quantity: 0x, no leading zeros."""
    text = _hex_string(value)
    if not _QUANTITY.fullmatch(text):
        if text == "0x":
            raise Invalid("hex string is empty, a quantity needs at least one digit (0x0)")
        if text[2] == "0" and len(text) > 3:
            raise Invalid("hex number with leading zero digits")
        raise Invalid("invalid hex string")
    number = int(text, 16)
    if number > maximum:
        raise Invalid(f"hex number > {maximum.bit_length()} bits")
    return number


def uint64(value: Any) -> int:
    """A quantity below 2^64."""
    return uint(value, U64_MAX)


def _digits(value: Any) -> str:
    """Hex digits behind 0x, an even number of them."""
    text = _hex_string(value)
    if len(text) % 2:
        raise _Malformed("hex string of odd length")
    return text[2:]


def data(value: Any) -> bytes:
    """Bytes: 0x and an even number of digits."""
    try:
        digits = _digits(value)
        return _from_hex(digits)
    except _Malformed as error:
        raise error.of("hexutil.Bytes") from None


def _from_hex(digits: str) -> bytes:
    try:
        found = bytes.fromhex(digits)
    except ValueError:
        found = b""
    if 2 * len(found) != len(digits):  # bytes.fromhex skips blanks
        raise _Malformed("invalid hex string")
    return found


def fixed(width: int, go_type: str) -> Callable[[Any], bytes]:
    """Parser of exactly `width` bytes; `go_type` is how geth calls them."""

    def parse(value: Any) -> bytes:
        try:
            digits = _digits(value)
            if len(digits) != 2 * width:
                raise Invalid(f"hex string has length {len(digits)}, want {2 * width} for {go_type}")
            return _from_hex(digits)
        except _Malformed as error:
            raise error.of(go_type) from None

    return parse


address = fixed(20, "common.Address")
hash32 = fixed(32, "common.Hash")


def slot(value: Any) -> bytes:
    """A storage slot, up to 32 bytes; leading zeros are taken since everybody sends them."""
    digits = _hex_string(value)[2:]
    if not digits or len(digits) > 64:
        raise Invalid(f"storage key has length {len(digits)}, want 1 to 64 digits")
    try:
        found = bytes.fromhex(digits.zfill(64))
    except ValueError:
        found = b""
    if len(found) != 32:
        raise Invalid("invalid hex string in storage key")
    return found


def boolean(value: Any) -> bool:
    """true or false."""
    if type(value) is not bool:
        raise Invalid(f"json: cannot unmarshal {_kind(value)} into a bool")
    return value


def text(value: Any) -> str:
    """A string."""
    if type(value) is not str:
        raise Invalid(f"json: cannot unmarshal {_kind(value)} into a string")
    return value


def anything(value: Any) -> Any:
    """Whatever JSON says."""
    return value


def milliseconds(value: Any) -> int:
    """A time in milliseconds: a quantity, or a plain number as EIP-7966's examples have it."""
    if type(value) is int:
        if value < 0:
            raise Invalid(f"negative time {value}")
        return value
    return uint64(value)


def count_or_number(value: Any) -> int:
    """A count: a quantity, or a plain number (web3.py sends one to eth_feeHistory)."""
    if type(value) is int:
        if 0 <= value <= U64_MAX:
            return value
        raise Invalid(f"number {value} is not within 0 and 2^64 - 1")
    return uint64(value)


@dataclass(frozen=True, slots=True)
class At:
    """Which block: exactly one of `tag` ("latest", "pending", "earliest"), `number` and `hash` is set."""

    tag: str = ""
    number: int = -1
    hash: bytes = b""

    @property
    def is_latest(self) -> bool:
        """The committed head (safe and finalized are the same with instant finality)."""
        return self.tag == "latest"

    @property
    def is_pending(self) -> bool:
        """The next block as the pool would make it."""
        return self.tag == "pending"

    def __str__(self) -> str:
        return self.tag or (f"block {self.number}" if self.number >= 0 else "block 0x" + self.hash.hex())


LATEST = At(tag="latest")
PENDING = At(tag="pending")
EARLIEST = At(tag="earliest")


def block(value: Any) -> At:
    """A tag, a number, a block hash or an EIP-1898 object."""
    if type(value) is str:
        if value in _LATEST_TAGS:
            return LATEST
        if value == "pending":
            return PENDING
        if value == "earliest":
            return EARLIEST
        if len(value) == 66:
            return At(hash=hash32(value))
        return At(number=uint64(value))
    if type(value) is dict:
        return _eip1898(value)
    if value is None:
        return LATEST
    raise Invalid(f"json: cannot unmarshal {_kind(value)} into a block number, tag or hash")


def _eip1898(value: dict[str, Any]) -> At:
    unknown = set(value) - {"blockHash", "blockNumber", "requireCanonical"}
    if unknown:
        raise Invalid(f"unknown key {min(unknown)!r} in block object")
    if "requireCanonical" in value:
        boolean(value["requireCanonical"])
    if ("blockHash" in value) == ("blockNumber" in value):
        raise Invalid(
            "cannot specify both BlockHash and BlockNumber, choose one or the other"
            if value
            else "block object needs blockHash or blockNumber"
        )
    if "blockHash" in value:
        return At(hash=hash32(value["blockHash"]))
    found = block(value["blockNumber"])
    if found.hash:
        raise Invalid("blockNumber is a hash")
    return found


def block_number(value: Any) -> At:
    """A tag or a number, no hash."""
    found = block(value)
    if found.hash or type(value) is dict:
        raise Invalid("expected a block number or tag")
    return found


@dataclass(frozen=True, slots=True)
class LogFilter:
    """`addresses`: 20 bytes each, empty is any; `topics[i]`: 32-byte alternatives concatenated, empty is any."""

    start: At
    stop: At
    block_hash: bytes
    addresses: bytes
    topics: tuple[bytes, ...]


def log_filter(limits: Limits) -> Callable[[Any], LogFilter]:
    """Parser of the filter object of eth_getLogs, eth_newFilter and the logs subscription."""

    def parse(value: Any) -> LogFilter:
        if value is None:
            value = {}
        if type(value) is not dict:
            raise Invalid(f"json: cannot unmarshal {_kind(value)} into a filter")
        block_hash = value.get("blockHash", value.get("blockhash"))  # Besu's users write it so
        start, stop = value.get("fromBlock"), value.get("toBlock")
        if block_hash is not None and (start is not None or stop is not None):
            raise Invalid("cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other")
        return LogFilter(
            start=LATEST if start is None else block_number(start),
            stop=LATEST if stop is None else block_number(stop),
            block_hash=b"" if block_hash is None else hash32(block_hash),
            addresses=_addresses(value.get("address"), limits),
            topics=_topics(value.get("topics"), limits),
        )

    return parse


def _addresses(value: Any, limits: Limits) -> bytes:
    if value is None:
        return b""
    if type(value) is str:
        return address(value)
    if type(value) is not list:
        raise Invalid(f"invalid address: json: cannot unmarshal {_kind(value)}")
    if len(value) > limits.logs_addresses:
        raise Invalid(f"exceed max addresses: {len(value)}, limit {limits.logs_addresses}")
    return b"".join(address(item) for item in value)


def _topics(value: Any, limits: Limits) -> tuple[bytes, ...]:
    if value is None:
        return ()
    if type(value) is not list:
        raise Invalid(f"invalid topics: json: cannot unmarshal {_kind(value)}")
    if len(value) > 4:
        raise Invalid(f"exceed max topics: {len(value)}, limit 4")
    places: list[bytes] = []
    for place in value:
        if place is None:
            places.append(b"")
        elif type(place) is str:
            places.append(hash32(place))
        elif type(place) is list:
            if len(place) > limits.logs_topics:
                raise Invalid(f"exceed max topic alternatives: {len(place)}, limit {limits.logs_topics}")
            # A null among the alternatives matches anything (geth).
            places.append(b"" if None in place else b"".join(hash32(item) for item in place))
        else:
            raise Invalid(f"invalid topic: json: cannot unmarshal {_kind(place)}")
    return tuple(places)


@dataclass(frozen=True, slots=True)
class CallArgs:
    """A transaction object of eth_call, eth_estimateGas or eth_fillTransaction; None is not given."""

    sender: bytes | None
    to: bytes | None
    gas: int | None
    gas_price: int | None
    max_fee_per_gas: int | None
    max_priority_fee_per_gas: int | None
    value: int | None
    data: bytes
    nonce: int | None
    chain_id: int | None
    access_list: tuple[tuple[bytes, tuple[bytes, ...]], ...] | None
    authorizations: tuple[tuple[int, bytes, int, int, int, int], ...] | None
    address_ranges: tuple[tuple[bytes, bytes], ...] | None = None  # (first, last)
    signature_scheme: str | None = None
    blob_hashes: tuple[bytes, ...] | None = None
    max_fee_per_blob_gas: int | None = None


def call_args(value: Any) -> CallArgs:
    """Parser of a transaction object; unknown keys are ignored as geth does."""
    if type(value) is not dict:
        raise Invalid(f"json: cannot unmarshal {_kind(value)} into a transaction object")
    input_, data_ = (_member(value, key, data) for key in ("input", "data"))
    if input_ is not None and data_ is not None and input_ != data_:
        raise Invalid('both "data" and "input" are set and not equal, please use "input" to pass transaction call data')
    args = CallArgs(
        sender=_member(value, "from", address),
        to=_member(value, "to", address),
        gas=_member(value, "gas", uint64),
        gas_price=_member(value, "gasPrice", uint),
        max_fee_per_gas=_member(value, "maxFeePerGas", uint),
        max_priority_fee_per_gas=_member(value, "maxPriorityFeePerGas", uint),
        value=_member(value, "value", uint),
        data=input_ if input_ is not None else (data_ or b""),
        nonce=_member(value, "nonce", uint64),
        chain_id=_member(value, "chainId", uint),
        access_list=_member(value, "accessList", _access_list),
        authorizations=_member(value, "authorizationList", _authorizations),
        address_ranges=_member(value, "addressRanges", _address_ranges),
        signature_scheme=_member(value, "signatureScheme", _name),
        blob_hashes=_member(value, "blobVersionedHashes", _blob_hashes),
        max_fee_per_blob_gas=_member(value, "maxFeePerBlobGas", uint),
    )
    fee_cap, tip = args.max_fee_per_gas, args.max_priority_fee_per_gas
    if args.gas_price is not None and (fee_cap is not None or tip is not None):
        raise Invalid("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified")
    if fee_cap is not None and tip is not None and tip > fee_cap:
        raise Invalid(f"maxFeePerGas ({fee_cap}) < maxPriorityFeePerGas ({tip})")
    return args


def _member(value: Mapping[str, Any], key: str, parse: Callable[[Any], T]) -> T | None:
    item = value.get(key)
    if item is None:
        return None
    try:
        return parse(item)
    except Invalid as error:
        raise Invalid(f"{key}: {error}") from None


ACCESS_LIST_ENTRIES_MAX = 4_096
"""Addresses and keys of an access list together (spec reliability 6.1); checked before anything is executed."""

AUTHORIZATIONS_MAX = 64
"""Signatures of a type-4 transaction (spec reliability 6.1): each costs one recovery."""


def _access_list(value: Any) -> tuple[tuple[bytes, tuple[bytes, ...]], ...]:
    if type(value) is not list or not all(type(item) is dict for item in value):
        raise Invalid("expected an array of {address, storageKeys}")
    found = tuple(
        (address(item.get("address")), tuple(hash32(key) for key in _list(item.get("storageKeys")))) for item in value
    )
    if (entries := sum(1 + len(keys) for _, keys in found)) > ACCESS_LIST_ENTRIES_MAX:
        raise Invalid(f"access list has {entries} entries, limit {ACCESS_LIST_ENTRIES_MAX}")
    return found


ADDRESS_RANGES_MAX = 16
"""Ranges of one transaction: the kernel's bound."""

NAME_CHARS_MAX = 64
"""Longest name of a signature scheme that is looked at."""


def _address_ranges(value: Any) -> tuple[tuple[bytes, bytes], ...]:
    if type(value) is not list or not all(type(item) is dict for item in value):
        raise Invalid("expected an array of {first, last}")
    if len(value) > ADDRESS_RANGES_MAX:
        raise Invalid(f"{len(value)} ranges, limit {ADDRESS_RANGES_MAX}")
    return tuple((address(item.get("first")), address(item.get("last"))) for item in value)


BLOB_HASHES_MAX = 128
"""Versioned hashes of one transaction that are looked at: more than any fork lets into a block."""


def _blob_hashes(value: Any) -> tuple[bytes, ...]:
    found = _list(value)
    if len(found) > BLOB_HASHES_MAX:
        raise Invalid(f"{len(found)} hashes, limit {BLOB_HASHES_MAX}")
    return tuple(hash32(item) for item in found)


def _name(value: Any) -> str:
    if type(value) is not str or len(value) > NAME_CHARS_MAX:
        raise Invalid("expected a name")
    return value


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    if type(value) is not list:
        raise Invalid(f"json: cannot unmarshal {_kind(value)} into an array")
    return value


def _authorizations(value: Any) -> tuple[tuple[int, bytes, int, int, int, int], ...]:
    if type(value) is not list or not all(type(item) is dict for item in value):
        raise Invalid("expected an array of {chainId, address, nonce, yParity, r, s}")
    if len(value) > AUTHORIZATIONS_MAX:
        raise Invalid(f"{len(value)} authorizations, limit {AUTHORIZATIONS_MAX}")
    return tuple(
        (
            uint(item.get("chainId")),
            address(item.get("address")),
            uint64(item.get("nonce")),
            uint(item.get("yParity", item.get("v")), 255),
            uint(item.get("r")),
            uint(item.get("s")),
        )
        for item in value
    )


def overrides(limits: Limits) -> Callable[[Any], bytes]:
    """Parser of state or block overrides: kept as JSON for the kernel, which reads them; null is none."""

    def parse(value: Any) -> bytes:
        if value is None:
            return b""
        if type(value) is not dict:
            raise Invalid(f"json: cannot unmarshal {_kind(value)} into overrides")
        if not value:
            return b""
        found = orjson.dumps(value)
        if len(found) > limits.state_override_bytes:
            raise Invalid(f"overrides of {len(found)} bytes, limit {limits.state_override_bytes}")
        return found

    return parse


def list_of(parse: Callable[[Any], T], maximum: int, what: str) -> Callable[[Any], list[T]]:
    """Parser of an array of at most `maximum` items."""

    def parse_list(value: Any) -> list[T]:
        if type(value) is not list:
            raise Invalid(f"json: cannot unmarshal {_kind(value)} into an array of {what}")
        if len(value) > maximum:
            raise Invalid(f"too many {what}: {len(value)}, limit {maximum}")
        return [parse(item) for item in value]

    return parse_list


def percentiles(limits: Limits) -> Callable[[Any], list[float]]:
    """Parser of eth_feeHistory's reward percentiles: ascending numbers within 0 and 100."""

    def parse(value: Any) -> list[float]:
        if value is None:
            return []
        if type(value) is not list:
            raise Invalid(f"json: cannot unmarshal {_kind(value)} into an array of percentiles")
        if len(value) > limits.fee_history_percentiles:
            raise Invalid(f"over the query limit {limits.fee_history_percentiles}: {len(value)} percentiles")
        last = 0.0
        for position, item in enumerate(value):
            if isinstance(item, bool) or not isinstance(item, int | float) or not 0 <= item <= 100:
                raise Invalid(f"invalid reward percentile: {item!r}"[:100])
            if item < last:
                raise Invalid(f"invalid reward percentile: #{position - 1}:{last} >= #{position}:{item}")
            last = float(item)
        return [float(item) for item in value]

    return parse


_REQUIRED = object()


@dataclass(frozen=True, slots=True)
class Param(Generic[T]):
    """One positional parameter of a method."""

    name: str
    parse: Callable[[Any], T]
    default: Any = _REQUIRED
    schema: dict[str, Any] | None = None  # JSON Schema of what `parse` takes, where `openrpc.py` does not know `parse`

    @property
    def required(self) -> bool:
        """Whether the caller must give it."""
        return self.default is _REQUIRED
