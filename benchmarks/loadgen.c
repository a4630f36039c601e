// A load generator for line, byte and datagram echo servers, in one file.
//
// It speaks to 127.0.0.1 only, ends by itself (hard cap: LIFETIME seconds), and prints one line
// of JSON. It is written in C and driven by epoll so that it costs a fraction of what any server
// in Python costs: then the server, on its own CPU, is what a measurement measures.
//
//   loadgen echo  --port P --connections N --depth D --bytes L --warm S --seconds S [--pid PID]
//   loadgen churn --port P --connections N           --bytes L --warm S --seconds S [--pid PID]
//   loadgen bulk  --port P                           --bytes L --warm S --seconds S [--pid PID]
//   loadgen udp   --port P --connections N --depth D --bytes L --warm S --seconds S [--pid PID]
//   loadgen idle  --port P --connections N                              --seconds S
//
// echo   N connections; each sends D lines of L bytes, waits for all of them, and starts again.
//        One operation is one line. Replies are compared with what was sent, byte by byte.
// churn  N slots; each connects, sends one line, waits for it, closes, and starts again.
// bulk   one connection, chunks of L bytes, at most BULK_WINDOW bytes on their way. One
//        operation is one megabyte (1e6 bytes).
// udp    N sockets; each has D datagrams of L bytes on their way, and sends another one for each
//        that comes back. One operation is one datagram; one that is lost is an error.
// idle   N connections that have each exchanged one line; prints READY and holds them until the
//        server has closed them all, standard input ends, or the time is up.
//
// With --pid, the processor time of that process is read at both ends of the measured window,
// from here rather than from the harness: a window of a quarter of a second is too short to
// include the start of a process or the connecting of 500 sockets.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LIFETIME = 120, EVENTS = 1024, STALL_MS = 500, BULK_WINDOW = 256 * 1024 };

static char inbox[1 << 20];

static struct {
    int port, connections, depth, bytes;
    double warm, seconds;
    pid_t pid;
} options = {.connections = 1, .depth = 1, .bytes = 64, .warm = 0.05, .seconds = 0.25};

static void die(const char *what) {
    fprintf(stderr, "loadgen: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double read_clock(clockid_t clock) {
    struct timespec t;
    if (clock_gettime(clock, &t) < 0)
        die("clock_gettime");
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double now(void) {
    return read_clock(CLOCK_MONOTONIC);
}

// ---- latency: a histogram with 64 buckets to the octave of microseconds (1.1 % wide) ----------

enum { PER_OCTAVE = 64, BUCKETS = 64 * PER_OCTAVE };

static struct {
    uint64_t count[BUCKETS];
    uint64_t total;
    double max;
} latency;

static void latency_add(double seconds) {
    double us = seconds * 1e6;
    int bucket = us <= 1 ? 0 : (int)(log2(us) * PER_OCTAVE);
    latency.count[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
    latency.total++;
    if (us > latency.max)
        latency.max = us;
}

static double latency_quantile(double q) {
    uint64_t wanted = (uint64_t)(q * (double)latency.total), seen = 0;
    for (int i = 0; i < BUCKETS; i++) {
        seen += latency.count[i];
        if (seen > wanted)
            return exp2((i + 0.5) / PER_OCTAVE);
    }
    return latency.max;
}

// ---- the measured window: after the warm-up, until the time is up -------------------------------

static struct {
    double opens, closes;  // planned
    double opened;         // the moment it really opened; 0 before
    double client_cpu, server_cpu;  // processor seconds used up to that moment
    double operations;
    long errors;
} window;

static double client_cpu(void) {
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

// The clock of the whole process, unlike /proc/PID/schedstat, is current to the nanosecond while
// the process runs and does not forget threads that have ended.
static double server_cpu(void) {
    clockid_t clock;
    if (!options.pid)
        return 0;
    if ((errno = clock_getcpuclockid(options.pid, &clock)))
        die("processor clock of the server");
    return read_clock(clock);
}

static void window_plan(void) {
    window.opens = now() + options.warm;
    window.closes = window.opens + options.seconds;
}

// Call once in every turn of a loop; true when the loop should end. What was counted while
// warming up is forgotten, errors excepted.
static bool window_closed(double t) {
    if (!window.opened && t >= window.opens) {
        window.operations = 0;
        memset(&latency, 0, sizeof latency);
        window.client_cpu = client_cpu();
        window.server_cpu = server_cpu();
        window.opened = t;
    }
    return t >= window.closes;
}

static void window_report(void) {
    double ended = now(), spent = server_cpu() - window.server_cpu;
    double seconds = ended - window.opened;
    if (!window.opened)  // every connection broke while warming up
        window.operations = seconds = spent = 0;
    if (latency.total == 0)  // nothing was answered: it took at least the whole window
        latency_add(seconds);
    printf("{\"operations\":%.3f,\"seconds\":%.6f,\"p50_us\":%.1f,\"p99_us\":%.1f,"
           "\"max_us\":%.1f,\"client_cpu\":%.6f,\"server_cpu\":%.6f,\"errors\":%ld}\n",
           window.operations, seconds, latency_quantile(0.5), latency_quantile(0.99), latency.max,
           client_cpu() - window.client_cpu, spent, window.errors);
}

// ---- connections ------------------------------------------------------------------------------

struct client {
    int fd;
    size_t sent, received;  // bytes of the batch on its way
    bool writing;           // EPOLLOUT is armed: the batch did not fit into the socket's buffer
    double since;           // when the batch was started
};

static int connect_loopback(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0)
        die("socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void set_nonblocking(int fd) {
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static void watch(int epoll, int operation, struct client *client, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = client};
    if (epoll_ctl(epoll, operation, client->fd, &event) < 0)
        die("epoll_ctl");
}

static struct client *new_clients(void) {
    struct client *clients = calloc((size_t)options.connections, sizeof *clients);
    if (!clients)
        die("calloc");
    return clients;
}

static char *new_lines(size_t count) {
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

// ---- echo -------------------------------------------------------------------------------------

// Send what is left of the batch. 2,000 lines do not fit into a socket's buffer at once, so the
// rest waits for EPOLLOUT.
static void echo_send(int epoll, struct client *client, const char *batch, size_t size) {
    while (client->sent < size) {
        ssize_t n = send(client->fd, batch + client->sent, size - client->sent, MSG_NOSIGNAL);
        if (n < 0)
            break;  // full, or broken: recv will tell
        client->sent += (size_t)n;
    }
    if (client->writing != (client->sent < size)) {
        client->writing = !client->writing;
        watch(epoll, EPOLL_CTL_MOD, client, EPOLLIN | (client->writing ? EPOLLOUT : 0));
    }
}

static void echo_start(int epoll, struct client *client, const char *batch, size_t size) {
    client->sent = client->received = 0;
    client->since = now();
    echo_send(epoll, client, batch, size);
}

static void echo(void) {
    size_t size = (size_t)options.bytes * (size_t)options.depth, line = (size_t)options.bytes;
    char *batch = new_lines((size_t)options.depth);
    struct client *clients = new_clients();
    struct epoll_event events[EVENTS];
    int epoll = epoll_create1(EPOLL_CLOEXEC), live = options.connections;

    for (int i = 0; i < options.connections; i++) {
        clients[i].fd = connect_loopback();
        set_nonblocking(clients[i].fd);
        watch(epoll, EPOLL_CTL_ADD, &clients[i], EPOLLIN);
    }
    window_plan();
    for (int i = 0; i < options.connections; i++)
        echo_start(epoll, &clients[i], batch, size);

    while (live > 0) {
        int count = epoll_wait(epoll, events, EVENTS, STALL_MS);
        if (window_closed(now()))
            break;
        if (count == 0)
            window.errors++;  // nobody was answered for STALL_MS
        for (int i = 0; i < count; i++) {
            struct client *client = events[i].data.ptr;
            if (client->writing && (events[i].events & EPOLLOUT))
                echo_send(epoll, client, batch, size);
            ssize_t n = recv(client->fd, inbox, sizeof inbox, 0);
            if (n < 0 && errno == EAGAIN)
                continue;
            if (n <= 0 || client->received + (size_t)n > client->sent ||
                memcmp(inbox, batch + client->received, (size_t)n) != 0) {
                window.errors++;  // closed, or not what we sent
                close(client->fd);
                live--;
                continue;
            }
            size_t before = client->received / line;
            client->received += (size_t)n;
            window.operations += (double)(client->received / line - before);
            if (client->received == size) {
                latency_add(now() - client->since);
                echo_start(epoll, client, batch, size);
            }
        }
    }
    window_report();
}

// ---- churn: connect, one line, close ------------------------------------------------------------

static void churn_start(int epoll, struct client *client, const char *line) {
    client->since = now();
    client->received = 0;
    client->fd = connect_loopback();
    watch(epoll, EPOLL_CTL_ADD, client, EPOLLIN);
    if (send(client->fd, line, (size_t)options.bytes, MSG_NOSIGNAL) != options.bytes)
        die("send");
}

static void churn(void) {
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

// ---- bulk: one connection, as many bytes as it takes --------------------------------------------

static void bulk(void) {
    size_t size = (size_t)options.bytes, offset = 0, expected = 0, outstanding = 0;
    char *chunk = new_lines(1);
    struct pollfd waiting = {.fd = connect_loopback()};

    set_nonblocking(waiting.fd);
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

// ---- udp: datagrams, so many on their way all the time ------------------------------------------

static int connect_datagrams(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0)
        die("socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("connect");
    return fd;
}

static void udp_send(struct client *client, const char *datagram, int count) {
    while (count-- > 0)
        if (send(client->fd, datagram, (size_t)options.bytes, 0) != options.bytes)
            window.errors++;
    client->since = now();
}

static void udp(void) {
    char *datagram = new_lines(1);
    struct client *clients = new_clients();
    struct epoll_event events[EVENTS];
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    window_plan();
    for (int i = 0; i < options.connections; i++) {
        clients[i].fd = connect_datagrams();
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

// ---- idle: connections that have said one line and then nothing ---------------------------------

static void idle(void) {
    struct client *clients = new_clients();
    struct epoll_event events[EVENTS], input = {.events = EPOLLIN, .data.ptr = NULL};
    int epoll = epoll_create1(EPOLL_CLOEXEC), live = options.connections;
    double ends, first_closed = 0;

    for (int i = 0; i < options.connections; i++) {
        clients[i].fd = connect_loopback();
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

// ---- the command line ---------------------------------------------------------------------------

static void usage(void) {
    fprintf(stderr, "usage: loadgen echo|churn|bulk|udp|idle --port PORT [--connections N] [--depth N]"
                    " [--bytes N] [--warm SECONDS] [--seconds SECONDS] [--pid PID]\n");
    exit(2);
}

static void parse(int argc, char **argv) {
    static const struct option names[] = {
        {"port", required_argument, NULL, 'p'},  {"connections", required_argument, NULL, 'c'},
        {"depth", required_argument, NULL, 'd'}, {"bytes", required_argument, NULL, 'b'},
        {"warm", required_argument, NULL, 'w'},  {"seconds", required_argument, NULL, 's'},
        {"pid", required_argument, NULL, 'P'},   {NULL, 0, NULL, 0},
    };
    for (int name; (name = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (name) {
        case 'p': options.port = atoi(optarg); break;
        case 'c': options.connections = atoi(optarg); break;
        case 'd': options.depth = atoi(optarg); break;
        case 'b': options.bytes = atoi(optarg); break;
        case 'w': options.warm = atof(optarg); break;
        case 's': options.seconds = atof(optarg); break;
        case 'P': options.pid = atoi(optarg); break;
        default: usage();
        }
    }
    if (optind != argc - 1 || options.port < 1 || options.port > 65535 || options.connections < 1 ||
        options.depth < 1 || options.bytes < 1 || options.bytes > (int)sizeof inbox ||
        options.pid < 0)
        usage();
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(void);
    } modes[] = {{"echo", echo}, {"churn", churn}, {"bulk", bulk}, {"udp", udp}, {"idle", idle}};
    struct rlimit files;

    parse(argc, argv);
    alarm(LIFETIME);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (strcmp(argv[optind], modes[i].name) == 0) {
            modes[i].run();
            return 0;
        }
    }
    usage();
}
