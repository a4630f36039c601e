// TLS, from the OpenSSL that is on this machine: found at run time, so that no headers are needed to build.

#include "common.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { WANT_READ = 2, WANT_WRITE = 3, ZERO_RETURN = 6 };             // SSL_get_error(3)
enum { CTRL_MODE = 33, PARTIAL_WRITE = 1, MOVING_WRITE_BUFFER = 2 };  // SSL_CTX_set_mode(3), a macro

static struct {
    void *context;
    void *(*new_session)(void *context);
    int (*set_fd)(void *session, int fd);
    int (*connect)(void *session);
    int (*read)(void *session, void *data, int size);
    int (*write)(void *session, const void *data, int size);
    int (*get_error)(const void *session, int result);
} ssl;

static void *find(void *library, const char *name) {
    void *symbol = dlsym(library, name);
    if (!symbol) {
        fprintf(stderr, "loadgen: libssl has no %s\n", name);
        exit(1);
    }
    return symbol;
}

static void load(void) {
    void *library = dlopen("libssl.so.3", RTLD_NOW);
    if (!library && !(library = dlopen("libssl.so.1.1", RTLD_NOW))) {
        fprintf(stderr, "loadgen: no libssl: %s\n", dlerror());
        exit(1);
    }
    const void *(*method)(void) = find(library, "TLS_client_method");
    void *(*new_context)(const void *) = find(library, "SSL_CTX_new");
    long (*control)(void *, int, long, void *) = find(library, "SSL_CTX_ctrl");
    ssl.new_session = find(library, "SSL_new");
    ssl.set_fd = find(library, "SSL_set_fd");
    ssl.connect = find(library, "SSL_connect");
    ssl.read = find(library, "SSL_read");
    ssl.write = find(library, "SSL_write");
    ssl.get_error = find(library, "SSL_get_error");
    // The certificate is not checked: that would only cost the client.
    ssl.context = new_context(method());
    control(ssl.context, CTRL_MODE, PARTIAL_WRITE | MOVING_WRITE_BUFFER, NULL);
}

void *tls_connect(int fd) {
    if (!ssl.context)
        load();
    void *session = ssl.new_session(ssl.context);
    ssl.set_fd(session, fd);
    if (ssl.connect(session) != 1) {
        errno = EPROTO;
        die("TLS handshake");
    }
    return session;
}

static ssize_t outcome(void *session, int result) {
    if (result > 0)
        return result;
    switch (ssl.get_error(session, result)) {
    case WANT_READ:
    case WANT_WRITE: errno = EAGAIN; return -1;
    case ZERO_RETURN: return 0;
    default: errno = EIO; return -1;
    }
}

ssize_t tls_send(void *session, const char *data, size_t size) {
    return outcome(session, ssl.write(session, data, (int)size));
}

ssize_t tls_receive(void *session, char *data, size_t size) {
    return outcome(session, ssl.read(session, data, (int)size));
}
