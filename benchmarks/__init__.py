"""Benchmarks: ``python -m benchmarks tables`` and ``python -m benchmarks tall``."""
