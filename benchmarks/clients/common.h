// What the files of the load generator share; main.c says what it is.

#ifndef COMMON_H
#define COMMON_H

#define _GNU_SOURCE
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

enum { LIFETIME = 120, PATIENCE = 2, EVENTS = 1024, STALL_MS = 500, BULK_WINDOW = 256 * 1024, INBOX = 1 << 20 };

extern char inbox[INBOX];

struct options {
    int port, connections, depth, bytes;
    double warm, seconds, rate;
    bool ping, tls;
    pid_t pid;
};
extern struct options options;

void die(const char *what);
double read_clock(clockid_t clock);
double now(void);

// ---- window.c: the measured window ------------------------------------------------------------

struct window {
    double opens, closes;           // planned
    double opened;                  // the moment it really opened; 0 before
    double client_cpu, server_cpu;  // processor seconds used up to that moment
    double operations;
    long errors;
};
extern struct window window;

void latency_add(double seconds);
void window_postpone(double seconds);  // until window_plan is called, but not for longer
void window_plan(void);
bool window_closed(double t);
void window_report(void);

// ---- sockets.c: connections and what they say -------------------------------------------------

struct client {
    int fd;
    void *tls;              // the session of TLS, or none
    size_t sent, received;  // bytes of the batch on its way
    bool answered;          // at least once
    bool writing;           // EPOLLOUT is armed: the batch did not fit into the socket's buffer
    double since;           // when the batch was started
};

struct client *new_clients(void);
int connect_loopback(int type);
void connect_client(struct client *client);  // with TLS where that was asked for; then non-blocking
ssize_t client_send(struct client *client, const char *data, size_t size);
ssize_t client_receive(struct client *client, char *data, size_t size);
void watch(int epoll, int operation, struct client *client, uint32_t events);
char *new_lines(size_t count);

// ---- tls.c ------------------------------------------------------------------------------------

void *tls_connect(int fd);
ssize_t tls_send(void *session, const char *data, size_t size);     // -1 and errno, as send(2)
ssize_t tls_receive(void *session, char *data, size_t size);        // likewise, as recv(2)

// ---- one file for each mode, or for two that are alike ------------------------------------------

void echo(void);
void rate(void);
void churn(void);
void bulk(void);
void udp(void);
void idle(void);
void spin(void);

#endif
