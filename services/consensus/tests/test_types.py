"""Votes: what makes two of them the same statement."""

from dataclasses import fields, replace
from typing import Any

import pytest
from consensus_traces import A, vote
from hansa_consensus.core.types import Phase, Vote

APART = ("signer", "signature")
OTHER: dict[type, Any] = {bytes: b"\x5a" * 32, int: 77, Phase: Phase.COMMIT}


@pytest.mark.parametrize("field", [field.name for field in fields(Vote) if field.name not in APART])
def test_p02_every_signed_field_makes_another_statement(field: str) -> None:
    one = vote(0, Phase.PREPARE, A)
    other = replace(one, **{field: OTHER[type(getattr(one, field))]})
    assert not one.same_statement(other)
    assert not other.same_statement(one)


@pytest.mark.parametrize(("field", "value"), [("signer", 3), ("signature", b"\x01" * 48)])
def test_p02_who_signs_makes_no_other_statement(field: str, value: Any) -> None:
    one = vote(0, Phase.PREPARE, A)
    assert one.same_statement(replace(one, **{field: value}))


def test_a_signed_vote_differs_in_nothing_but_its_signature() -> None:
    one = Vote(Phase.COMMIT, b"\x01" * 32, 2, b"\x03" * 32, 4, 5, 6, b"", 7, 8, 9, b"\x0a" * 32)
    assert one.signed(b"\x0b" * 48) == replace(one, signature=b"\x0b" * 48)
