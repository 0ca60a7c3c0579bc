"""Consensus without I/O: engines that turn events into effects.

Nothing in here opens a file or a socket, reads a clock or draws a random number. The shell (`hansa_consensus.shell`)
feeds events one after the other and performs the effects in the order in which they are listed; the simulator does the
same with a virtual world. Start reading at `engine`, then `events`, `effects` and `types`.
"""
