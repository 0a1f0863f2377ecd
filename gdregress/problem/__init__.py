"""What is minimised: losses, penalties, coordinates, objectives, and the problem that they make."""
