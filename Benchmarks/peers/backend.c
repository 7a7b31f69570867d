// backend PORT BODY_BYTES: answers every HTTP/1.1 request without a body with the same prepared response. As little work as
// possible per request, so that a run measures the proxy in front of it. Requests may be pipelined and split anywhere.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { max_connections = 65536, max_pending = 64 };

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
  signal(SIGPIPE, SIG_IGN);
  prepare(atoi(arguments[2]));
  int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arguments[1])),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(listener, (void *)&address, sizeof address) || listen(listener, 4096)) { perror("backend"); return 1; }
  int poller = epoll_create1(0);
  struct epoll_event interest = {.events = EPOLLIN, .data.fd = listener};
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &interest);
  static struct epoll_event events[256];
  static char buffer[65536];
  for (;;) {
    int ready = epoll_wait(poller, events, 256, -1);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        int accepted;
        while ((accepted = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
          if (accepted >= max_connections) { close(accepted); continue; }
          setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
          connections[accepted] = (struct connection){0};
          struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.fd = accepted};
          epoll_ctl(poller, EPOLL_CTL_ADD, accepted, &e);
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
