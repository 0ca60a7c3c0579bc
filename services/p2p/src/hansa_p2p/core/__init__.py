"""What p2p decides, without I/O: what waits and what is dropped, who is trusted for how long, when to dial."""
