"""L4, the command line: what to serve, where, by how many processes, and how to stop it."""
