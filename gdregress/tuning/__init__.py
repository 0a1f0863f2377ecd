"""Fits for many values of a parameter, with the work that they share."""
