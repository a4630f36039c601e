"""L3, the handler classes that people subclass; they may import the servers, never the other way round."""
