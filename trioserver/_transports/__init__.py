"""L1, everything that touches a socket, and nothing that knows of servers, handlers or requests."""
