"""Pure functions over tensors, one subject a file: nothing is mutated, moved to another device, or random."""
