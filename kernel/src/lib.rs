//! Hansa's kernel: everything that costs CPU, on whole batches, without I/O.
