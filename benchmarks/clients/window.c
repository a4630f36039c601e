// What is measured, and when: from the end of the warm-up until the time is up.

#include "common.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

// ---- latency: a histogram with 64 buckets to the octave of microseconds (1.1 % wide) ----------

enum { PER_OCTAVE = 64, BUCKETS = 64 * PER_OCTAVE };

static struct {
    uint64_t count[BUCKETS];
    uint64_t total;
    double max;
} latency;

void latency_add(double seconds) {
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

// ---- the window -------------------------------------------------------------------------------

struct window window;

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

void window_postpone(double seconds) {
    window.opens = now() + seconds;
    window.closes = window.opens + options.seconds;
}

void window_plan(void) {
    window.opens = now() + options.warm;
    window.closes = window.opens + options.seconds;
}

// Call once in every turn of a loop; true when the loop should end. What was counted while
// warming up is forgotten, errors excepted.
bool window_closed(double t) {
    if (!window.opened && t >= window.opens) {
        window.operations = 0;
        memset(&latency, 0, sizeof latency);
        window.client_cpu = client_cpu();
        window.server_cpu = server_cpu();
        window.opened = t;
    }
    // A slow server's first operation is worth waiting for; then the window was longer, which is reported.
    return t >= window.closes + (window.operations == 0 ? PATIENCE : 0);
}

void window_report(void) {
    double ended = now(), spent = server_cpu() - window.server_cpu;
    double seconds = ended - window.opened;
    if (!window.opened)  // every connection broke while warming up
        window.operations = seconds = spent = 0;
    if (latency.total == 0)  // nothing was answered: it took at least the whole window
        latency_add(seconds);
    printf("{\"operations\":%.3f,\"seconds\":%.6f,\"p50_us\":%.1f,\"p90_us\":%.1f,"
           "\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f,\"client_cpu\":%.6f,"
           "\"server_cpu\":%.6f,\"errors\":%ld}\n",
           window.operations, seconds, latency_quantile(0.5), latency_quantile(0.9),
           latency_quantile(0.99), latency_quantile(0.999), latency.max,
           client_cpu() - window.client_cpu, spent, window.errors);
}
