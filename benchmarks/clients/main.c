// A load generator for line, byte and datagram echo servers, in one file.
//
// It speaks to 127.0.0.1 only, ends by itself (hard cap: LIFETIME seconds), and prints one line
// of JSON. It is written in C and driven by epoll so that it costs a fraction of what any server
// in Python costs: then the server, on its own CPU, is what a measurement measures.
//
//   loadgen echo  --port P --connections N --depth D --bytes L --warm S --seconds S [--pid PID]
//   loadgen rate  --port P --connections N --rate R  --bytes L --warm S --seconds S [--pid PID]
//   loadgen churn --port P --connections N           --bytes L --warm S --seconds S [--pid PID]
//   loadgen bulk  --port P                           --bytes L --warm S --seconds S [--pid PID]
//   loadgen udp   --port P --connections N --depth D --bytes L --warm S --seconds S [--pid PID]
//   loadgen idle  --port P --connections N                              --seconds S
//   loadgen spin                                                        --seconds S
//
// echo   N connections; each sends D lines of L bytes, waits for all of them, and starts again.
//        One operation is one line. Replies are compared with what was sent, byte by byte.
//        The warm-up begins once each connection has been answered.
//        With --ping=1 the lines are PING, and the replies +PONG; with --tls=1 it is through TLS.
// rate   N connections, R lines a second in all, whether or not they are answered.
// churn  N slots; each connects, sends one line, waits for it, closes, and starts again.
// bulk   one connection, chunks of L bytes, at most BULK_WINDOW bytes on their way. One
//        operation is one megabyte (1e6 bytes).
// udp    N sockets; each has D datagrams of L bytes on their way, and sends another one for each
//        that comes back. One operation is one datagram; one that is lost is an error.
// idle   N connections that have each exchanged one line; prints READY and holds them until the
//        server has closed them all, standard input ends, or the time is up.
// spin   nothing, with the lowest priority of all: the CPU does not fall asleep.
//
// With --pid, the processor time of that process is read at both ends of the measured window,
// from here rather than from the harness: a window of a quarter of a second is too short to
// include the start of a process or the connecting of 500 sockets.

#include "common.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

char inbox[INBOX];

struct options options = {
    .port = 1, .connections = 1, .depth = 1, .bytes = 64, .rate = 1000, .warm = 0.05, .seconds = 0.25,
};

void die(const char *what) {
    fprintf(stderr, "loadgen: %s: %s\n", what, strerror(errno));
    exit(1);
}

double read_clock(clockid_t clock) {
    struct timespec t;
    if (clock_gettime(clock, &t) < 0)
        die("clock_gettime");
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double now(void) {
    return read_clock(CLOCK_MONOTONIC);
}

// Keep a CPU awake, and take no time from anybody who wants some.
void spin(void) {
    struct sched_param none = {.sched_priority = 0};
    double ends = now() + options.seconds;
    if (sched_setscheduler(0, SCHED_IDLE, &none) < 0)
        die("SCHED_IDLE");
    while (now() < ends)
        ;
}

static void usage(void) {
    fprintf(stderr, "usage: loadgen echo|rate|churn|bulk|udp|idle|spin --port P [--connections N] [--depth N]"
                    " [--bytes N]\n       [--rate N] [--ping 1] [--tls 1] [--warm SECONDS] [--seconds SECONDS]"
                    " [--pid PID]\n");
    exit(2);
}

static void parse(int argc, char **argv) {
    static const struct option names[] = {
        {"port", required_argument, NULL, 'p'},  {"connections", required_argument, NULL, 'c'},
        {"depth", required_argument, NULL, 'd'}, {"bytes", required_argument, NULL, 'b'},
        {"warm", required_argument, NULL, 'w'},  {"seconds", required_argument, NULL, 's'},
        {"pid", required_argument, NULL, 'P'},   {"rate", required_argument, NULL, 'r'},
        {"ping", required_argument, NULL, 'g'},  {"tls", required_argument, NULL, 't'},
        {NULL, 0, NULL, 0},
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
        case 'r': options.rate = atof(optarg); break;
        case 'g': options.ping = atoi(optarg); break;
        case 't': options.tls = atoi(optarg); break;
        default: usage();
        }
    }
    if (optind != argc - 1 || options.port < 1 || options.port > 65535 || options.connections < 1 ||
        options.depth < 1 || options.bytes < 1 || options.bytes > INBOX || options.rate <= 0 ||
        options.pid < 0)
        usage();
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(void);
    } modes[] = {{"echo", echo}, {"rate", rate}, {"churn", churn}, {"bulk", bulk},
                 {"udp", udp},   {"idle", idle}, {"spin", spin}};
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
