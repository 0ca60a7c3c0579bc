"""Every precompile on inputs that take longest for their gas; Ethereum's and those of a chain."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import hansa_kernel
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hansa.worst.case import Case, program, rlp
from hansa.worst.program import WORD_MAX, code, endless

GROUP = "precompile"

CHAIN = ("ed25519Verify", "blsCertificateVerify", "sha3_256", "sha3_512", "shake128", "shake256", "stateProofVerify")
"""Names in the kernel's registry; `declared` puts them at `CHAIN_FIRST` and after it."""

CHAIN_FIRST = 0x400


def declared() -> list[dict[str, str]]:
    """Precompiles of a chain spec that has all of them."""
    return [{"address": hex(CHAIN_FIRST + place), "name": name} for place, name in enumerate(CHAIN)]


@dataclass(frozen=True, slots=True)
class Call:
    """One way to call a precompile."""

    name: str
    address: int
    data: bytes
    # Gas of a call that fails with all of it; a call that succeeds is given all there is.
    gas: int = 0
    # Every call is another one: the kernel keeps answers of pure, dear precompiles.
    changing: bool = False


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


_SECP_X = 0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798
_P256 = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
_BN_G2 = (
    0x198E9393920D483A7260BFB731FB5D25F1AA493335A9E71297E485B7AEF312C2,
    0x1800DEEF121F1E76426A00665E5C4479674322D4F75EDADD46DEBD5CD992F6ED,
    0x090689D0585FF075EC9E99AD690C3395BC4B313370B38EF355ACDADCD122975B,
    0x12C85EA5DB8C6DEB4AAB71808DCB408FE3D1E7690C43D37B4CE6CC0166FA7DAA,
)
_BLS_G1 = (
    0x17F1D3A73197D7942695638C4FA9AC0FC3688C4F9774B905A14E3A3F171BAC586C55E83FF97A1AEFFB3AF00ADB22C6BB,
    0x08B3F481E3AAA0F1A09E30ED741D8AE4FCF5E095D5D00AF600DB18CB2C04B3EDD03CC744A2888AE40CAA232946C5E7E1,
)
_BLS_G2 = (
    0x024AA2B2F08F0A91260805272DC51051C6E47AD4FA403B02B4510B647AE3D1770BAC0326A805BBEFD48056C8C121BDB8,
    0x13E02B6052719F607DACD3A088274F65596BD0D09920B61AB5DA61BBDC7F5049334CF11213945D57E5AC7D055D042B7E,
    0x0CE5D527727D6E118CC9CDC6DA2E351AADFD9BAA8CBDD3A76D429A695160D12C923AC9CC3BACA289E193548608B82801,
    0x0606C4A02EA734CC32ACD2B02BC28B99CB3E287E85A763AF267492AB572E99AB3F370D275CEC1DA1AAA9075FF05F79BE,
)
_BLS_G1_BYTES = b"".join(value.to_bytes(64, "big") for value in _BLS_G1)
_BLS_G2_BYTES = b"".join(value.to_bytes(64, "big") for value in _BLS_G2)
_BLS_G1_SHORT = bytes([0x97]) + _BLS_G1[0].to_bytes(48, "big")[1:]


def modexp(base: int, exponent: bytes, modulus: int, *, even: bool = False) -> bytes:
    """Input of MODEXP with a base and modulus of so many bytes, all bits set but for an even modulus' last."""
    low = 0xFE if even else 0xFF
    lengths = b"".join(map(_word, (base, len(exponent), modulus)))
    return lengths + b"\xfd" * base + exponent + b"\xff" * (modulus - 1) + bytes([low])


_LONG = b"\xff" * 32

MODEXP = {
    "modexp 32 B": modexp(32, _LONG, 32),
    "modexp 32 B even": modexp(32, _LONG, 32, even=True),
    "modexp 8 B": modexp(8, _LONG, 8),
    "modexp 40 B": modexp(40, _LONG, 40),
    "modexp 64 B even": modexp(64, _LONG, 64, even=True),
    "modexp 128 B": modexp(128, b"\xff", 128),
    "modexp 256 B": modexp(256, b"\x01\x00\x01", 256),
    "modexp 256 B even": modexp(256, b"\x01\x00\x01", 256, even=True),
    "modexp 1 KiB squared": modexp(1024, b"\x02", 1024),
    "modexp 1 KiB even cubed": modexp(1024, b"\x03", 1024, even=True),
    "modexp 1 KiB by 8 B": modexp(1024, b"\x03", 8),
    "modexp least price": modexp(32, b"\x03", 32),
}
"""MODEXP where gas and time part most: small and large numbers, even moduli, one multiplication."""


def _old() -> Iterator[Call]:
    """Those of Frontier."""
    yield Call("ecrecover", 1, _word(WORD_MAX) + _word(27) + _word(_SECP_X) + _word(_SECP_X))
    for length in (0, 55, 65_536):
        yield Call(f"sha256 {length} B", 2, b"\xff" * length)
        yield Call(f"ripemd160 {length} B", 3, b"\xff" * length)
        yield Call(f"identity {length} B", 4, b"\xff" * length)


def _bn() -> Iterator[Call]:
    g1 = _word(1) + _word(2)
    yield Call("bn256 add", 6, g1 + g1)
    yield Call("bn256 mul", 7, g1 + _word(WORD_MAX))
    for pairs in (1, 2, 16):
        yield Call(f"bn256 pairing {pairs}", 8, (g1 + b"".join(map(_word, _BN_G2))) * pairs)


def _new() -> Iterator[Call]:
    """Those of Byzantium to Osaka."""
    for name, data in MODEXP.items():
        yield Call(name, 5, data)
    yield from _bn()
    for rounds in (1, 12, 100_000):
        yield Call(f"blake2f {rounds} rounds", 9, rounds.to_bytes(4, "big") + b"\xff" * 208 + b"\1")
    # A proof that does not hold takes as long as one that does, and all the gas it is given: exactly its price.
    commitment = _BLS_G1_SHORT
    yield Call("point evaluation", 10, _kzg_hash(commitment) + _word(3) + _word(5) + commitment * 2, gas=50_000)
    scalar = _word(WORD_MAX)
    yield Call("bls12 g1 add", 0x0B, _BLS_G1_BYTES * 2)
    yield Call("bls12 g2 add", 0x0D, _BLS_G2_BYTES * 2)
    for pairs in (1, 8, 128):
        yield Call(f"bls12 g1 msm {pairs}", 0x0C, (_BLS_G1_BYTES + scalar) * pairs)
        yield Call(f"bls12 g2 msm {pairs}", 0x0E, (_BLS_G2_BYTES + scalar) * pairs)
    for pairs in (1, 8):
        yield Call(f"bls12 pairing {pairs}", 0x0F, (_BLS_G1_BYTES + _BLS_G2_BYTES) * pairs)
    yield Call("bls12 map fp to g1", 0x10, (7).to_bytes(64, "big"))
    yield Call("bls12 map fp2 to g2", 0x11, (7).to_bytes(64, "big") * 2)
    yield Call("p256 verify", 0x100, _word(WORD_MAX) + _word(_P256[0] >> 1) * 2 + b"".join(map(_word, _P256)))


def _kzg_hash(commitment: bytes) -> bytes:
    return b"\1" + hashlib.sha256(commitment).digest()[1:]


def _chain() -> Iterator[Call]:
    """Those that a chain may declare; the end of each input changes."""
    at = {name: CHAIN_FIRST + place for place, name in enumerate(CHAIN)}
    key = Ed25519PrivateKey.from_private_bytes(b"\7" * 32)
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    # Of another message: the equation is computed before it fails.
    yield Call("ed25519Verify", at["ed25519Verify"], public + key.sign(b"other") + bytes(32), changing=True)
    secrets = [hansa_kernel.bls_secret_key(bytes([number]) * 32) for number in range(1, 5)]
    keys = b"".join(map(hansa_kernel.bls_public_key, secrets))
    signature = hansa_kernel.bls_aggregate([hansa_kernel.bls_sign(secret, b"other") for secret in secrets])
    certificate = _word(4) + keys + b"\x0f" + signature + bytes(32)
    yield Call("blsCertificateVerify 4", at["blsCertificateVerify"], certificate, changing=True)
    for name in ("sha3_256", "sha3_512"):
        for length in (32, 8_192):
            yield Call(f"{name} {length} B", at[name], b"\xff" * length, changing=True)
    for name in ("shake128", "shake256"):
        yield Call(f"{name} of 8 KiB", at[name], _word(8_192) + bytes(32), changing=True)
    yield Call("stateProofVerify", at["stateProofVerify"], _proof(), changing=False)


def _proof() -> bytes:
    """A proof of the only account of a state."""
    owner = b"\x70" * 20
    account = rlp([b"\1", b"\1", hansa_kernel.EMPTY_ROOT, hansa_kernel.EMPTY_CODE_HASH])
    leaf = rlp([b"\x20" + hansa_kernel.keccak(owner), account])
    return hansa_kernel.keccak(leaf) + owner + bytes(32) + rlp([[leaf]])


def bytecode(call: Call) -> bytes:
    """An endless run of calls of it, on the transaction's data."""
    length = len(call.data)
    setup = code("CALLDATASIZE 0 0 CALLDATACOPY")
    give = str(call.gas) if call.gas else "GAS"
    change = code(f"GAS {length - 32} MSTORE") if call.changing else b""
    return endless(change + code(f"0 0 {length} 0 0 {call.address} {give} CALL POP"), setup)


def calls(*, old: bool = False, chain: bool = True) -> list[Call]:
    """All of them."""
    return [*_old(), *([] if old else _new()), *(_chain() if chain and not old else ())]


def _case(call: Call, gas: int) -> Case:
    return program(call.name, GROUP, bytecode(call), gas + 70 * len(call.data), data=call.data)


def cases(gas: int, *, old: bool = False, chain: bool = True) -> list[Case]:
    """One case each, with enough gas for its data and a few calls."""
    return [_case(call, gas) for call in calls(old=old, chain=chain)]


def only(name: str, gas: int) -> Case:
    """The case of one of Ethereum's precompiles."""
    return next(_case(call, gas) for call in calls(chain=False) if call.name == name)
