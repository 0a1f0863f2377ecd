"""The loop of a fit, what it reads, and what observes it: trace, stopping rules, progress, callbacks, validation."""
