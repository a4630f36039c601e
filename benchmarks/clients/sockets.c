// Connections to loopback, and the lines that they carry.

#include "common.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

int connect_loopback(int type) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    int on = 1, fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0)
        die("socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("connect");
    if (type == SOCK_STREAM)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

void connect_client(struct client *client) {
    client->fd = connect_loopback(SOCK_STREAM);
    client->tls = options.tls ? tls_connect(client->fd) : NULL;
    fcntl(client->fd, F_SETFL, fcntl(client->fd, F_GETFL) | O_NONBLOCK);
}

ssize_t client_send(struct client *client, const char *data, size_t size) {
    return client->tls ? tls_send(client->tls, data, size) : send(client->fd, data, size, MSG_NOSIGNAL);
}

ssize_t client_receive(struct client *client, char *data, size_t size) {
    return client->tls ? tls_receive(client->tls, data, size) : recv(client->fd, data, size, 0);
}

void watch(int epoll, int operation, struct client *client, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = client};
    if (epoll_ctl(epoll, operation, client->fd, &event) < 0)
        die("epoll_ctl");
}

struct client *new_clients(void) {
    struct client *clients = calloc((size_t)options.connections, sizeof *clients);
    if (!clients)
        die("calloc");
    return clients;
}

char *new_lines(size_t count) {
    size_t length = (size_t)options.bytes;
    char *lines = malloc(count * length);
    if (!lines)
        die("malloc");
    for (size_t i = 0; i < count; i++) {
        memset(lines + i * length, 'a' + (int)(i % 26), length - 1);
        lines[i * length + length - 1] = '\n';
    }
    return lines;
}
