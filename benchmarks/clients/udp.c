// Datagrams, so many on their way all the time.

#include "common.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static void udp_send(struct client *client, const char *datagram, int count) {
    while (count-- > 0)
        if (send(client->fd, datagram, (size_t)options.bytes, 0) != options.bytes)
            window.errors++;
    client->since = now();
}

void udp(void) {
    char *datagram = new_lines(1);
    struct client *clients = new_clients();
    struct epoll_event events[EVENTS];
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    window_plan();
    for (int i = 0; i < options.connections; i++) {
        clients[i].fd = connect_loopback(SOCK_DGRAM | SOCK_NONBLOCK);
        watch(epoll, EPOLL_CTL_ADD, &clients[i], EPOLLIN);
        udp_send(&clients[i], datagram, options.depth);
    }
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, STALL_MS);
        if (window_closed(now()))
            break;
        if (count == 0) {  // nothing is on its way any more
            window.errors += options.connections * options.depth;
            for (int i = 0; i < options.connections; i++)
                udp_send(&clients[i], datagram, options.depth);
        }
        for (int i = 0; i < count; i++) {
            struct client *client = events[i].data.ptr;
            int received = 0;
            ssize_t n;
            while (received < options.depth && (n = recv(client->fd, inbox, sizeof inbox, 0)) >= 0) {
                received++;
                if (n != options.bytes || memcmp(inbox, datagram, (size_t)n) != 0)
                    window.errors++;
            }
            if (received == 0)
                continue;
            window.operations += received;
            latency_add(now() - client->since);
            udp_send(client, datagram, received);
        }
    }
    window_report();
}
