// backend PORT BODY_BYTES: answers every HTTP/1.1 request without a body with the same prepared response. As little work as
// possible per request, so that a run measures the proxy in front of it. Requests may be pipelined and split anywhere.
#include "peer.h"
#include <string.h>

struct connection {
  uint32_t tail;      // the last four bytes seen: a request ends at CR LF CR LF
  uint32_t owed;      // responses not yet fully written
  size_t written;     // bytes of the current response already written
};

static struct connection connections[max_connections];
static char *response;
static size_t response_bytes;

static void prepare(int body_bytes) {
  response = malloc((size_t)body_bytes + 512);
  response_bytes = (size_t)sprintf(response,
      "HTTP/1.1 200 OK\r\nserver: backend\r\ndate: Sat, 21 Nov 2026 03:00:00 GMT\r\ncontent-type: text/plain\r\n"
      "x-backend-id: b-0001\r\ncontent-length: %d\r\n\r\n", body_bytes);
  for (int i = 0; i < body_bytes; i++) response[response_bytes++] = (char)('a' + i % 26);
}

static int flush(int fd) { // 0 when the socket is full, 1 when nothing is owed, -1 when the peer is gone
  struct connection *c = &connections[fd];
  while (c->owed > 0) {
    ssize_t n = send(fd, response + c->written, response_bytes - c->written, MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN ? 0 : -1;
    c->written += (size_t)n;
    if (c->written == response_bytes) { c->written = 0; c->owed--; }
  }
  return 1;
}

int main(int count, char **arguments) {
  if (count != 3) { fprintf(stderr, "usage: backend PORT BODY_BYTES\n"); return 2; }
  prepare(atoi(arguments[2]));
  int listener = listen_on(arguments[1]);
  static struct epoll_event events[max_events];
  static char buffer[65536];
  for (;;) {
    int ready = epoll_wait(poller, events, max_events, -1);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        int accepted;
        while ((accepted = next_connection(listener)) >= 0) {
          connections[accepted] = (struct connection){0};
          watch(accepted, EPOLLIN | EPOLLOUT | EPOLLET);
        }
        continue;
      }
      struct connection *c = &connections[fd];
      int alive = 1;
      for (;;) {
        ssize_t n = recv(fd, buffer, sizeof buffer, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN)) { alive = 0; break; }
        if (n < 0) break;
        for (ssize_t k = 0; k < n; k++) {
          c->tail = c->tail << 8 | (unsigned char)buffer[k];
          if (c->tail == 0x0d0a0d0a) c->owed++;
        }
        if (n < (ssize_t)sizeof buffer) break;
      }
      if (!alive || flush(fd) < 0) close(fd);
    }
  }
}
