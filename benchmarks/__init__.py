"""Measure trioserver against other servers: ``nox -s bench``, or ``python -m benchmarks`` in the checkout.

What is where, from the bottom up (each imports only what stands above it):

- ``clients/``: the load generator, in C, so that it costs little beside any server in Python.
- ``peers/``: the servers, one function each; a program of its own.
- ``child``: a process of ours, pinned to one CPU and bounded in time.
- ``machine``: which CPUs there are for us, and what to write beside the figures.
- ``server``, ``loadgen``: the two kinds of child, with what the harness wants to know of them.
- ``sample``: what a measurement yields: metrics, and the figures of one round.
- ``load``, ``idle``, ``fair``, ``memory``: how one round of a workload is measured.
- ``report``: ratios, quartiles, the table of one comparison and its JSON.
- ``workload``, ``workloads``: the table of all workloads, with the targets that we set ourselves.
- ``standing``, ``interleave``: rounds in random order, so that the machine's noise hits all sides alike.
- ``suite``, ``results``, ``everything``: what ``--all`` measures, what it keeps, and how it is done.
- ``names``, ``floors``, ``document``, ``plots/``: what is made of that.

Beside them ``simulation`` measures the simulated network of ``trioserver.testing``, and ``shutdown`` how long
synchronous code waits for it.
"""
