"""A model beside the other solvers of its objective: who they are, what is measured of them, and the table."""
