"""Load generator: offers signed transactions to any Ethereum node and measures what becomes of them.

Everything that costs processor time is done before the clock starts, so that the generator takes little from the nodes
that it measures on the same machine.
"""
