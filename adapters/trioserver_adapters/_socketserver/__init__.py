"""The parts of ``trioserver_adapters.socketserver``.

base, tcp, threads, forks, handlers   the classes, as the standard library has them
workers                               threads that serve one request after another
companion                             what trio does for a server, and when it begins and ends
waiter                                how the thread that serves waits
owner                                 who owns requests that run in threads and processes
held_signals                          what signal handlers raise is not lost in a fork
linger                                the end of a connection with unread input
backoff                               pauses after errors of ``get_request``
"""
