"""The command line: one file per group of commands, every reading command with `--json`.

Exit status: 0 done, 1 failed, 2 wrong usage, 3 nobody answers.
"""
