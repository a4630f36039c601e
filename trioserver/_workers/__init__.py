"""L3, several processes that serve one address: `Workers`, the parent's side, and what runs in each child.

Parent and child have nothing in common but the sockets to serve on and a channel; neither is ever a fork of a
running trio.

    sockets.py     what to serve on: one listening socket for each worker, or one for all
    target.py      what each worker makes its server with: how that gets to a fresh interpreter
    command.py     the command line of one
    channel.py     the messages between parent and child
    process.py     one worker, as the parent sees it: launched, told things, waited for, reaped
    backoff.py     how long to wait before the next one
    supervisor.py  who is in which place, and who takes it next
    workers.py     the face of it all
    child.py       the worker itself
"""
