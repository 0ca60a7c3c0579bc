"""A local consortium: the folder that `hansa up` makes, its ports, its processes, and what state they are in."""
