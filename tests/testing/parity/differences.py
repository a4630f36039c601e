"""Where the network differs from the kernel: the tests of this folder that fail on it, and why."""

from __future__ import annotations

DIFFERENCES: dict[str, str] = {
    "test_below_sockets.test_wait_readable_when_given_the_socket_then_until_there_is_something": (
        "trio.lowlevel.wait_readable and wait_writable know the system's descriptors only: they raise EBADF."
    ),
    "test_closed_sockets.test_detach_when_called_then_the_descriptor_is_the_callers": (
        "A simulated socket has no descriptor of the system that could be given away: detach is EOPNOTSUPP."
    ),
    "test_tcp_edges.test_connect_when_a_socket_dials_itself_then_it_talks_to_itself": (
        "There is no simultaneous open: a socket that dials its own address is refused."
    ),
    "test_tcp_receive_into.test_urgent_data_when_sent_then_it_is_received_out_of_band": (
        "There is no urgent data: sending with MSG_OOB is EINVAL."
    ),
    "test_unix_ancillary.test_rights_when_a_descriptor_is_sent_then_the_receiver_has_a_copy": (
        "Unix sockets carry no descriptors: sending SCM_RIGHTS is EINVAL."
    ),
    "test_unix_ancillary.test_credentials_when_asked_for_then_they_come_with_the_data": (
        "Unix sockets carry no credentials beside the data; SO_PEERCRED of a stream works."
    ),
    "test_unix_files.test_bind_when_done_then_the_path_is_a_socket_in_the_file_system": (
        "The paths of Unix sockets are a namespace of each host's; nothing is made in the file system."
    ),
    "test_unix_files.test_bind_when_the_folder_does_not_exist_then_enoent": (
        "The paths of Unix sockets are names and nothing more: folders need not exist."
    ),
    "test_unix_files.test_connect_when_the_path_is_a_file_then_econnrefused": (
        "Files that are no sockets are not seen: connecting to one is ENOENT."
    ),
    "test_unix_names.test_bind_when_the_path_outlived_its_socket_then_eaddrinuse": (
        "A path is in no file system, where it could be unlinked; it is free when its socket is closed."
    ),
    "test_unix_streams.test_connect_when_the_listener_was_closed_then_econnrefused": (
        "The path of a closed socket is free, so that connecting to it is ENOENT."
    ),
    "test_unix_datagram_errors.test_sendto_when_the_receiver_was_closed_then_econnrefused": (
        "The path of a closed socket is free, so that sending to it is ENOENT."
    ),
}
"""Modules and names of tests, and the reasons; the documentation of the network lists them.

A test of this table that passes is an error: then the difference is gone, and so is its line.
"""
