// Lines at a fixed rate, whether or not those before have been answered.
//
// The latency of a line counts from the moment at which it was due, not from the one at which it could
// be sent: a server that stops for a second has delayed all the lines of that second, and a client that
// waits for it before it asks again would have noticed one (coordinated omission). For the same reason
// what was never answered counts, too, with the time that it has waited when the measurement ends.

#include "common.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { IN_FLIGHT = 4096, LINES = 26 };  // of each connection; of the stream before it repeats itself

struct line {
    struct client client;
    size_t queued;              // bytes due so far; those of client are totals, too
    unsigned long begun, done;  // lines
    double due[IN_FLIGHT];
};

static char *stream;  // LINES lines, twice, so that LINES of them are in one piece from anywhere

static size_t piece(size_t from, size_t to) {
    size_t most = (size_t)(LINES * options.bytes);
    return to - from < most ? to - from : most;
}

static const char *place(size_t offset) {
    return stream + offset % (size_t)(LINES * options.bytes);
}

static void send_due(int epoll, struct line *line) {
    struct client *client = &line->client;
    while (client->sent < line->queued) {
        ssize_t n = client_send(client, place(client->sent), piece(client->sent, line->queued));
        if (n < 0)
            break;
        client->sent += (size_t)n;
    }
    if (client->writing != (client->sent < line->queued)) {
        client->writing = !client->writing;
        watch(epoll, EPOLL_CTL_MOD, client, EPOLLIN | (client->writing ? EPOLLOUT : 0));
    }
}

// False when it was closed, or was not what had been sent.
static bool receive(struct line *line) {
    struct client *client = &line->client;
    size_t wanted = piece(client->received, client->sent);
    ssize_t n = client_receive(client, inbox, wanted ? wanted : 1);
    if (n < 0 && errno == EAGAIN)
        return true;
    if (n <= 0 || !wanted || memcmp(inbox, place(client->received), (size_t)n) != 0)
        return false;
    client->received += (size_t)n;
    double t = now();
    for (; line->done < client->received / (size_t)options.bytes; line->done++) {
        latency_add(t - line->due[line->done % IN_FLIGHT]);
        window.operations++;
    }
    return true;
}

void rate(void) {
    struct line *lines = calloc((size_t)options.connections, sizeof *lines);
    struct epoll_event events[EVENTS];
    int epoll = epoll_create1(EPOLL_CLOEXEC), live = options.connections;
    double interval = 1 / options.rate, due, t;
    unsigned long next = 0;

    if (!lines)
        die("calloc");
    stream = new_lines(2 * LINES);
    for (int i = 0; i < options.connections; i++) {
        connect_client(&lines[i].client);
        watch(epoll, EPOLL_CTL_ADD, &lines[i].client, EPOLLIN);
    }
    window_plan();
    due = now();
    // Not a moment longer than planned, as for a slow server elsewhere: what is not answered counts here.
    while (live == options.connections && !window_closed(t = now()) && t < window.closes) {
        for (; due <= t; due += interval, next++) {
            struct line *line = &lines[next % (unsigned long)options.connections];
            if (line->begun - line->done == IN_FLIGHT)
                break;  // it is far behind; this line's time goes on counting
            line->due[line->begun++ % IN_FLIGHT] = due;
            line->queued += (size_t)options.bytes;
            send_due(epoll, line);
        }
        // It never sleeps: a timer would be late by more than what is measured.
        int count = epoll_wait(epoll, events, EVENTS, 0);
        for (int i = 0; i < count; i++) {
            struct line *line = events[i].data.ptr;
            if (line->client.writing && (events[i].events & EPOLLOUT))
                send_due(epoll, line);
            if (!receive(line)) {
                window.errors++;
                live--;
            }
        }
    }
    t = now();
    for (int i = 0; i < options.connections; i++)
        for (struct line *line = &lines[i]; line->done < line->begun; line->done++)
            latency_add(t - line->due[line->done % IN_FLIGHT]);
    for (; due <= t; due += interval)
        latency_add(t - due);
    window_report();
}
