// One connection, as many bytes as it takes.

#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

void bulk(void) {
    size_t size = (size_t)options.bytes, offset = 0, expected = 0, outstanding = 0;
    char *chunk = new_lines(1);
    struct pollfd waiting = {.fd = connect_loopback(SOCK_STREAM)};

    fcntl(waiting.fd, F_SETFL, fcntl(waiting.fd, F_GETFL) | O_NONBLOCK);
    window_plan();
    while (!window_closed(now())) {
        waiting.events = (short)(POLLIN | (outstanding < BULK_WINDOW ? POLLOUT : 0));
        if (poll(&waiting, 1, STALL_MS) == 0) {
            window.errors++;
            continue;
        }
        if (waiting.revents & (POLLIN | POLLHUP | POLLERR)) {
            // No further than the end of a chunk, to compare with one.
            ssize_t n = recv(waiting.fd, inbox, size - expected, 0);
            if (n == 0 || (n < 0 && errno != EAGAIN) || (n > 0 && (size_t)n > outstanding) ||
                (n > 0 && memcmp(inbox, chunk + expected, (size_t)n) != 0)) {
                window.errors++;  // closed, broken, or not what we sent
                break;
            }
            if (n > 0) {
                window.operations += (double)n / 1e6;
                outstanding -= (size_t)n;
                expected = (expected + (size_t)n) % size;
            }
        }
        if (outstanding < BULK_WINDOW) {
            ssize_t n = send(waiting.fd, chunk + offset, size - offset, MSG_NOSIGNAL);
            if (n > 0) {
                outstanding += (size_t)n;
                offset = (offset + (size_t)n) % size;
            }
        }
    }
    window_report();
}
