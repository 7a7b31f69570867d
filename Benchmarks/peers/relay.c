// relay LISTEN_PORT UPSTREAM_PORT: copies bytes between one accepted and one opened connection. It parses nothing: its CPU per request
// is the floor that no proxy on the same kernel can go below. Small messages only: what the socket does not take is dropped.
#include "peer.h"

static int peer_of[max_connections];

static void end(int fd) {
  int peer = peer_of[fd];
  close(fd);
  close(peer);
  peer_of[fd] = peer_of[peer] = -1;
}

int main(int count, char **arguments) {
  if (count != 3) { fprintf(stderr, "usage: relay LISTEN_PORT UPSTREAM_PORT\n"); return 2; }
  int listener = listen_on(arguments[1]);
  struct sockaddr_in there = loopback(arguments[2]);
  static struct epoll_event events[max_events];
  static char buffer[65536];
  for (;;) {
    int ready = epoll_wait(poller, events, max_events, -1);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        int down;
        while ((down = next_connection(listener)) >= 0) {
          int up = socket(AF_INET, SOCK_STREAM, 0);
          if (up >= max_connections || connect(up, (void *)&there, sizeof there)) { close(up); close(down); continue; }
          undelayed(up);
          peer_of[down] = up, peer_of[up] = down;
          watch(down, EPOLLIN | EPOLLET);
          watch(up, EPOLLIN | EPOLLET);
        }
        continue;
      }
      int peer = peer_of[fd];
      if (peer < 0) continue;
      ssize_t n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
      if (n < 0 && errno == EAGAIN) continue;
      if (n <= 0 || send(peer, buffer, (size_t)n, MSG_NOSIGNAL) != n) end(fd);
    }
  }
}
