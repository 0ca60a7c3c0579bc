"""Deterministic simulator: the services' own cores in virtual time, on a network and disks that fail (spec reliability, 2).

`world` holds clock and queue, `node` one member's shell, `network` and `disk` what surrounds it, `oracles` cheap
signatures and execution. `plan` draws a run from a seed, `faults` and `liars` perform what it says, `checkers` watch.
`seeds` runs one seed, `twins` enumerates scenarios, `mutants` plants bugs that must be found, `report` adds results up.
Nothing in here knows which engine it drives, except `profiles` and the checker of PBFT's lock rule.
"""
