"""The one loop, and what watches it: the trace, the reasons to stop, progress, callbacks, validation, streams."""
