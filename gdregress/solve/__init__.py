"""The loop of a fit and what observes it: trace, stopping rules, progress, callbacks, validation, streams."""
