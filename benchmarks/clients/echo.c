// Batches of lines on many connections: the next one when the last one has been answered.

#include "common.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

// A batch as one side says it: lines that differ, which are echoed, or the same one again and again.
struct script {
    char *bytes;
    size_t line, size;
};

static struct script ask, reply;
static int answered;  // connections that have had a whole reply, or never will have

static struct script new_script(const char *ping) {
    struct script script = {.line = options.ping ? strlen(ping) : (size_t)options.bytes};
    script.size = script.line * (size_t)options.depth;
    if (!options.ping) {
        script.bytes = new_lines((size_t)options.depth);
        return script;
    }
    if (!(script.bytes = malloc(script.size)))
        die("malloc");
    for (size_t i = 0; i < script.size; i++)
        script.bytes[i] = ping[i % script.line];
    return script;
}

// Send what is left of the batch. 2,000 lines do not fit into a socket's buffer at once, so the
// rest waits for EPOLLOUT.
static void send_batch(int epoll, struct client *client) {
    while (client->sent < ask.size) {
        ssize_t n = client_send(client, ask.bytes + client->sent, ask.size - client->sent);
        if (n < 0)
            break;  // full, or broken: recv will tell
        client->sent += (size_t)n;
    }
    if (client->writing != (client->sent < ask.size)) {
        client->writing = !client->writing;
        watch(epoll, EPOLL_CTL_MOD, client, EPOLLIN | (client->writing ? EPOLLOUT : 0));
    }
}

static void start_batch(int epoll, struct client *client) {
    client->sent = client->received = 0;
    client->since = now();
    send_batch(epoll, client);
}

// How much may have been answered of what was sent: an echo byte by byte, a PONG only for a whole PING.
static size_t due(const struct client *client) {
    return options.ping ? client->sent / ask.line * reply.line : client->sent;
}

// The warm-up begins when each connection has had a turn: before, a server with a thread for each is still
// starting threads, and one with ten thousand connections is still accepting.
static void count_answered(struct client *client) {
    if (!client->answered && ++answered == options.connections)
        window_plan();
    client->answered = true;
}

// Receive once; false when it was closed or was not what is due.
static bool receive(int epoll, struct client *client, bool *more) {
    ssize_t n = client_receive(client, inbox, sizeof inbox);
    *more = client->tls && n > 0;  // epoll does not know of what libssl holds
    if (n < 0 && errno == EAGAIN)
        return true;
    if (n <= 0 || client->received + (size_t)n > due(client) ||
        memcmp(inbox, reply.bytes + client->received, (size_t)n) != 0)
        return false;
    size_t before = client->received / reply.line;
    client->received += (size_t)n;
    window.operations += (double)(client->received / reply.line - before);
    if (client->received == reply.size) {
        latency_add(now() - client->since);
        count_answered(client);
        start_batch(epoll, client);
    }
    return true;
}

void echo(void) {
    struct client *clients = new_clients();
    struct epoll_event events[EVENTS];
    int epoll = epoll_create1(EPOLL_CLOEXEC), live = options.connections;

    ask = new_script("PING\r\n");
    reply = new_script("+PONG\r\n");
    for (int i = 0; i < options.connections; i++) {
        connect_client(&clients[i]);
        watch(epoll, EPOLL_CTL_ADD, &clients[i], EPOLLIN);
    }
    window_postpone(PATIENCE);
    for (int i = 0; i < options.connections; i++)
        start_batch(epoll, &clients[i]);

    while (live > 0) {
        int count = epoll_wait(epoll, events, EVENTS, STALL_MS);
        if (window_closed(now()))
            break;
        if (count == 0)
            window.errors++;  // nobody was answered for STALL_MS
        for (int i = 0; i < count; i++) {
            struct client *client = events[i].data.ptr;
            bool more = true;
            if (client->writing && (events[i].events & EPOLLOUT))
                send_batch(epoll, client);
            while (more) {
                if (receive(epoll, client, &more))
                    continue;
                window.errors++;
                count_answered(client);
                close(client->fd);
                live--;
                break;
            }
        }
    }
    window_report();
}
