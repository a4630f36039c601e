"""Measure trioserver against other servers: ``python -m benchmarks`` from the checkout's root.

What is where, from the bottom up (each imports only what stands above it):

- ``loadgen.c``: the clients, in C, so that they cost little beside any server in Python.
- ``peers.py``: the servers, one function each; a script of its own, never imported.
- ``child``: a process of ours, pinned to one CPU and bounded in time.
- ``machine``: which CPUs there are for us, and what to write beside the figures.
- ``server``, ``loadgen``: the two kinds of child, with what the harness wants to know of them.
- ``sample``: what a measurement yields: metrics, and the figures of one round.
- ``load``, ``idle``, ``fair``: how one round of a workload is measured.
- ``workloads``: the table of all workloads, with the targets that we set ourselves.
- ``interleave``: rounds in random order, so that the machine's noise hits all sides alike.
- ``report``: ratios, quartiles, the table and the JSON.

Beside them ``simulation`` measures the simulated network of ``trioserver.testing``, and ``shutdown`` how long
synchronous code waits for it.
"""
