"""Adapters that let synchronous programs, and programs written for other APIs, use trioserver.

``trioserver`` itself is for trio applications: its servers are awaited inside a nursery. A script
that never sees trio needs somebody to run trio for it, in a thread, and to offer calls that block.
That is what lives here, outside of the core, so that the core owes nothing to any of it.

The rule that keeps it so: a module in this package imports only the public names of
``trioserver``, and nothing in ``trioserver`` imports this package. What an adapter can do, any
user's own code can do.
"""
