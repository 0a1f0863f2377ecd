"""Problems, solvers and one objective that scores them all: ``python -m benchmarks``."""
