"""L3, the server classes that people use and subclass."""
