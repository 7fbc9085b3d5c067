"""Between messages and arrays, pure functions."""
