"""L0, the words of the library: pure values and tables, importing neither trio nor socket."""
