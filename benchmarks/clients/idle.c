// Connections that have said one line and then nothing.

#include "common.h"

#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

void idle(void) {
    struct client *clients = new_clients();
    struct epoll_event events[EVENTS], input = {.events = EPOLLIN, .data.ptr = NULL};
    int epoll = epoll_create1(EPOLL_CLOEXEC), live = options.connections;
    double ends, first_closed = 0;

    for (int i = 0; i < options.connections; i++) {
        clients[i].fd = connect_loopback(SOCK_STREAM);
        if (send(clients[i].fd, "hello\n", 6, MSG_NOSIGNAL) != 6)
            die("send");
        if (recv(clients[i].fd, inbox, 6, MSG_WAITALL) != 6)
            die("recv");
        watch(epoll, EPOLL_CTL_ADD, &clients[i], EPOLLIN | EPOLLRDHUP);
    }
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &input) < 0)
        die("epoll_ctl of standard input");
    printf("READY\n");
    fflush(stdout);

    ends = now() + options.seconds;
    while (live > 0 && now() < ends) {
        int count = epoll_wait(epoll, events, EVENTS, STALL_MS);
        for (int i = 0; i < count; i++) {
            struct client *client = events[i].data.ptr;
            char byte;
            if (!client) {
                if (read(STDIN_FILENO, &byte, 1) <= 0)
                    ends = 0;  // the harness has gone, or has seen enough
            } else if (recv(client->fd, &byte, 1, 0) <= 0) {
                close(client->fd);
                if (live-- == options.connections)
                    first_closed = now();
            }
        }
    }
    printf("{\"closed\":%d,\"first_to_last_close_ms\":%.2f}\n", options.connections - live,
           first_closed ? (now() - first_closed) * 1e3 : 0.0);
}
