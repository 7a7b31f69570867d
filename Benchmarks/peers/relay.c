// relay LISTEN_PORT UPSTREAM_PORT: copies bytes between one accepted and one opened connection. It parses nothing: its CPU per request
// is the floor that no proxy on the same kernel can go below. Small messages only: what the socket does not take is dropped.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static int peer_of[65536];

int main(int count, char **arguments) {
  if (count != 3) { fprintf(stderr, "usage: relay LISTEN_PORT UPSTREAM_PORT\n"); return 2; }
  signal(SIGPIPE, SIG_IGN);
  int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(arguments[1])),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, there = here;
  there.sin_port = htons((unsigned short)atoi(arguments[2]));
  if (bind(listener, (void *)&here, sizeof here) || listen(listener, 4096)) { perror("relay"); return 1; }
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
        int down;
        while ((down = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
          int up = socket(AF_INET, SOCK_STREAM, 0);
          if (connect(up, (void *)&there, sizeof there)) { close(up); close(down); continue; }
          setsockopt(down, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
          setsockopt(up, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
          peer_of[down] = up, peer_of[up] = down;
          struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.fd = down};
          epoll_ctl(poller, EPOLL_CTL_ADD, down, &e);
          e.data.fd = up;
          epoll_ctl(poller, EPOLL_CTL_ADD, up, &e);
        }
        continue;
      }
      int peer = peer_of[fd];
      if (peer < 0) continue;
      ssize_t n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
      if (n < 0 && errno == EAGAIN) continue;
      if (n <= 0) { close(fd); close(peer); peer_of[fd] = peer_of[peer] = -1; continue; }
      if (send(peer, buffer, (size_t)n, MSG_NOSIGNAL) != n) { close(fd); close(peer); peer_of[fd] = peer_of[peer] = -1; }
    }
  }
}
