"""The method: update rules, schedules, preconditioners and solvers, and the choice among them."""
