"""L2, what every server has in common: it accepts, runs requests as tasks, limits, counts, and stops."""
