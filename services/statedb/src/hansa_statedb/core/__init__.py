"""What statedb decides without I/O: layouts, write sets, overlays of staged blocks, log postings."""
