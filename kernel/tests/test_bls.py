"""The border of group signatures."""

from __future__ import annotations

from typing import Any

import pytest
from hansa_kernel import (
    POSSESSION_DST,
    VOTE_DST,
    KernelInputError,
    ValidatorKeys,
    bitmap_of,
    bls_aggregate,
    bls_prove_possession,
    bls_public_key,
    bls_secret_key,
    bls_sign,
    bls_verify,
    bls_verify_possession,
    signers_of,
    vote_message,
)

SECRETS = [bls_secret_key(bytes([index]) * 32) for index in range(1, 8)]
PUBLIC = [bls_public_key(secret) for secret in SECRETS]


def message(**changes: Any) -> bytes:
    fields: dict[str, Any] = {
        "genesis_hash": b"\1" * 32,
        "shard": 0,
        "epoch": 2,
        "level": 0,
        "phase": "prepare",
        "from_hash": b"\3" * 32,
        "from_height": 300,
        "to_hash": b"\4" * 32,
        "to_height": 301,
        "view": 5,
    }
    return vote_message(**{**fields, **changes})


def test_domains_and_the_signed_list_are_those_of_the_design() -> None:
    assert VOTE_DST == b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_"
    assert POSSESSION_DST == b"BLS_POP_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_"
    expected = (
        bytes.fromhex("f884")
        + b"\x8dhansa/vote/v1"
        + b"\xa0" + b"\1" * 32
        + b"\x80\x02\x80"
        + b"\x87prepare"
        + b"\xa0" + b"\3" * 32 + b"\x82\x01\x2c"
        + b"\xa0" + b"\4" * 32 + b"\x82\x01\x2d"
        + b"\x05\x80"
    )  # fmt: skip
    assert message() == expected
    assert message(next_set_hash=b"") == expected
    assert message(next_set_hash=b"\6" * 32).endswith(b"\xa0" + b"\6" * 32)
    for bad in ({"phase": "PREPARE"}, {"to_hash": b""}, {"next_set_hash": b"\1"}):
        with pytest.raises(KernelInputError) as caught:
            message(**bad)
        assert caught.value.field == next(iter(bad))


def test_signatures_and_possessions_do_not_stand_for_each_other() -> None:
    signature = bls_sign(SECRETS[0], PUBLIC[0])
    possession = bls_prove_possession(SECRETS[0])
    assert bls_verify(PUBLIC[0], PUBLIC[0], signature)
    assert bls_verify_possession(PUBLIC[0], possession)
    assert not bls_verify(PUBLIC[0], PUBLIC[0], possession)
    assert not bls_verify_possession(PUBLIC[0], signature)
    assert not bls_verify(PUBLIC[1], PUBLIC[0], signature)
    assert not bls_verify(b"", b"", b"")


def test_a_quorum_makes_a_certificate_that_holds_for_its_signers_only() -> None:
    keys = ValidatorKeys(PUBLIC)
    signers = [0, 2, 3, 4, 6]
    votes = [bls_sign(SECRETS[signer], message()) for signer in signers]
    assert keys.verify_votes(signers, message(), votes) == [True] * 5
    signature = bls_aggregate(votes)
    bitmap = bitmap_of(signers, len(keys))
    assert keys.verify_certificate(bitmap, message(), signature)
    assert not keys.verify_certificate(bitmap_of([0, 1, 2, 3, 4], 7), message(), signature)
    assert not keys.verify_certificate(bitmap, message(view=6), signature)
    assert not keys.verify_certificate(b"\xff", message(), signature)
    good = (bitmap, message(), signature)
    assert keys.verify_certificates([good] * 20)
    assert not keys.verify_certificates([good] * 20 + [(bitmap, message(view=6), signature)])
    votes[1] = votes[0]
    assert keys.verify_votes(signers, message(), votes) == [True, False, True, True, True]
    with pytest.raises(KernelInputError):
        keys.verify_votes([7], message(), votes[:1])


def test_bad_points_and_sets_are_refused() -> None:
    infinity = b"\xc0" + bytes(95)
    for keys in ([], [infinity], [PUBLIC[0], PUBLIC[0]], [PUBLIC[0][:-1]], [bytes(96)]):
        with pytest.raises(KernelInputError) as caught:
            ValidatorKeys(keys)
        assert caught.value.field == "public_keys"
    for signatures in ([], [infinity[:48]], [bytes(48)]):
        with pytest.raises(KernelInputError):
            bls_aggregate(signatures)
    with pytest.raises(KernelInputError):
        bls_secret_key(bytes(31))


def test_bitmaps_are_little_endian_and_bounded() -> None:
    assert bitmap_of([9, 0, 3], 10) == b"\x09\x02"
    assert signers_of(b"\x09\x02", 10) == [0, 3, 9]
    for bitmap, validators in ((b"\x09\x04", 10), (b"\x09", 10), (b"\x00\x00\x00", 10)):
        with pytest.raises(KernelInputError):
            signers_of(bitmap, validators)
    for signers in ([10], [1, 1]):
        with pytest.raises(KernelInputError):
            bitmap_of(signers, 10)
