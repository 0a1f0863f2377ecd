"""Solvers on problems: time, memory and error, each fit in a process of its own."""
