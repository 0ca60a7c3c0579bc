"""Refusal codes are the kernel's: a service that tells them apart by name names only those that exist."""

import ast
import re
from collections.abc import Iterator

from hansa_api.errors import CATALOGUE
from hansa_consensus.gossip import NEVER_VALID
from support.sources import ROOT, SERVICES, place, python_files

CODE = re.compile(r'^\s+(\w+) => "([a-z_]+)",$', re.MULTILINE)


def kernel_codes() -> set[str]:
    """Codes of `TxError`, from the one list that declares them."""
    declared = (ROOT / "kernel" / "src" / "tx" / "error.rs").read_text()
    found = {code for _, code in CODE.findall(declared)}
    assert {"nonce_too_low", "exceeds_block_gas_limit", "invalid_transaction"} <= found
    return found


def compared_codes() -> Iterator[tuple[str, str]]:
    """(place, code) of every comparison of an attribute `code` with texts, in all services."""
    for service in SERVICES:
        for path in python_files(ROOT / "services" / service / "src"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Compare):
                    continue
                sides = [node.left, *node.comparators]
                if any(isinstance(side, ast.Attribute) and side.attr == "code" for side in sides):
                    for part in (part for side in sides for part in ast.walk(side)):
                        if isinstance(part, ast.Constant) and isinstance(part.value, str):
                            yield place(path, node.lineno), part.value


def test_gossip_scores_only_codes_that_the_kernel_has() -> None:
    assert kernel_codes() >= NEVER_VALID


def test_the_api_numbers_only_codes_that_the_kernel_has() -> None:
    assert set(CATALOGUE) - kernel_codes() == set()


def test_comparisons_with_codes_name_codes_that_the_kernel_has() -> None:
    compared = list(compared_codes())
    assert compared, "nothing compares codes any more: this test looks at the wrong thing"
    assert [(where, code) for where, code in compared if code not in kernel_codes()] == []
