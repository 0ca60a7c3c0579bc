"""Commits small blocks until it is killed; prints each height once the block is durable."""

import sys
from pathlib import Path

import hansa_kernel
from support.blocks import Change, executed, open_chain
from support.execution import chain_of, secret_keys


def account(number: int) -> bytes:
    return hansa_kernel.keccak(b"account%d" % number)[:20]


def main(folder: Path) -> None:
    chain = open_chain(folder, chain_of(secret_keys(2)))
    print("ready", flush=True)  # noqa: T201
    while True:
        number = chain.head.number + 1
        changes = {account(number % 50): Change(number, number), account(number): Change(1, number)}
        block, _ = chain.stage(executed(chain.head.header, changes))
        chain.commit(block.hash, b"")
        print(number, flush=True)  # noqa: T201


main(Path(sys.argv[1]))
