"""How it is minimised: what is chosen, the optimizers, schedules and preconditioners, and the solvers."""
