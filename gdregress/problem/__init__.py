"""The optimisation problem: losses, penalties, coordinates and objectives."""
