"""A small contract for tests, assembled here: it keeps a number, tells of it in an event, and can revert.

function store(uint256 value)   keeps value, emits Stored(msg.sender, value)
function value() returns (uint256)
function fail()                 reverts with Error("no")
function crash()                reverts with Panic(0x01)
"""

from hansa_kernel import keccak

ABI = [
    {
        "type": "event",
        "name": "Stored",
        "anonymous": False,
        "inputs": [
            {"name": "who", "type": "address", "indexed": True},
            {"name": "value", "type": "uint256", "indexed": False},
        ],
    },
    {
        "type": "function",
        "name": "store",
        "stateMutability": "nonpayable",
        "inputs": [{"name": "value", "type": "uint256"}],
        "outputs": [],
    },
    {
        "type": "function",
        "name": "value",
        "stateMutability": "view",
        "inputs": [],
        "outputs": [{"name": "", "type": "uint256"}],
    },
    {"type": "function", "name": "fail", "stateMutability": "view", "inputs": [], "outputs": []},
    {"type": "function", "name": "crash", "stateMutability": "view", "inputs": [], "outputs": []},
]


def selector(signature: str) -> bytes:
    """First four bytes of the signature's Keccak hash."""
    return keccak(signature.encode())[:4]


STORED = keccak(b"Stored(address,uint256)")
STORE, VALUE, FAIL, CRASH = (selector(signature) for signature in ("store(uint256)", "value()", "fail()", "crash()"))

_ERROR = selector("Error(string)")
_PANIC = selector("Panic(uint256)")


def _push(value: bytes) -> bytes:
    return bytes((0x5F + len(value),)) + value


def _case(wanted: bytes, target: int) -> bytes:
    """DUP1 PUSH4 wanted EQ PUSH1 target JUMPI."""
    return b"\x80" + _push(wanted) + b"\x14" + _push(bytes((target,))) + b"\x57"


_HEAD = 2 + 1 + 2 + 1  # selector on the stack: PUSH1 0 CALLDATALOAD PUSH1 224 SHR
_CASES = 4 * (1 + 5 + 1 + 2 + 1)
_NONE = 5  # PUSH1 0 PUSH1 0 REVERT
_STORE_BODY = (
    b"\x5b\x60\x04\x35\x80\x5f\x55\x5f\x52"  # value = calldata[4:36]; storage[0] = value; memory[0] = value
    + b"\x33"
    + _push(STORED)
    + b"\x60\x20\x5f\xa2\x00"  # LOG2(0, 32, topic, caller); STOP
)
_VALUE_BODY = b"\x5b\x5f\x54\x5f\x52\x60\x20\x5f\xf3"
_FAIL_BODY = (
    b"\x5b"
    + _push(_ERROR + bytes(28))
    + b"\x5f\x52\x60\x20\x60\x04\x52\x60\x02\x60\x24\x52"
    + _push(b"no" + bytes(30))
    + b"\x60\x44\x52\x60\x64\x5f\xfd"
)
_CRASH_BODY = b"\x5b" + _push(_PANIC + bytes(28)) + b"\x5f\x52\x60\x01\x60\x04\x52\x60\x24\x5f\xfd"


def _runtime() -> bytes:
    bodies = (_STORE_BODY, _VALUE_BODY, _FAIL_BODY, _CRASH_BODY)
    start = _HEAD + _CASES + _NONE
    targets = []
    for body in bodies:
        targets.append(start)
        start += len(body)
    head = b"\x60\x00\x35\x60\xe0\x1c"
    cases = b"".join(_case(wanted, at) for wanted, at in zip((STORE, VALUE, FAIL, CRASH), targets, strict=True))
    return head + cases + b"\x60\x00\x60\x00\xfd" + b"".join(bodies)


RUNTIME = _runtime()
CREATION = b"\x60" + bytes((len(RUNTIME),)) + b"\x80\x60\x0a\x5f\x39\x5f\xf3\x00" + RUNTIME
"""PUSH1 size DUP1 PUSH1 10 PUSH0 CODECOPY PUSH0 RETURN: the runtime stands behind it."""
