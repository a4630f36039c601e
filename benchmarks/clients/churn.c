// Connect, one line, close.

#include "common.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static void churn_start(int epoll, struct client *client, const char *line) {
    client->since = now();
    client->received = 0;
    client->fd = connect_loopback(SOCK_STREAM);
    watch(epoll, EPOLL_CTL_ADD, client, EPOLLIN);
    if (send(client->fd, line, (size_t)options.bytes, MSG_NOSIGNAL) != options.bytes)
        die("send");
}

void churn(void) {
    size_t size = (size_t)options.bytes;
    char *line = new_lines(1);
    struct client *clients = new_clients();
    struct epoll_event events[EVENTS];
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    window_plan();
    for (int i = 0; i < options.connections; i++)
        churn_start(epoll, &clients[i], line);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, STALL_MS);
        if (window_closed(now()))
            break;
        if (count == 0)
            window.errors++;
        for (int i = 0; i < count; i++) {
            struct client *client = events[i].data.ptr;
            ssize_t n = recv(client->fd, inbox, size - client->received, 0);
            if (n > 0 && memcmp(inbox, line + client->received, (size_t)n) == 0) {
                client->received += (size_t)n;
                if (client->received < size)
                    continue;
                window.operations++;
                latency_add(now() - client->since);
            } else {
                window.errors++;
            }
            close(client->fd);
            churn_start(epoll, client, line);
        }
    }
    window_report();
}
