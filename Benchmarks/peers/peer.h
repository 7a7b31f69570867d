// What the C peers share: sockets on loopback, watched by one epoll instance, edge-triggered.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { max_connections = 65536, max_events = 256 };

static int poller;

static struct sockaddr_in loopback(const char *port) {
  return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void watch(int fd, uint32_t events) {
  struct epoll_event interest = {.events = events, .data.fd = fd};
  epoll_ctl(poller, EPOLL_CTL_ADD, fd, &interest);
}

static void undelayed(int fd) {
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

// Returns the watched listener, or ends the program.
static int listen_on(const char *port) {
  signal(SIGPIPE, SIG_IGN);
  int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in address = loopback(port);
  if (bind(listener, (void *)&address, sizeof address) || listen(listener, 4096)) { perror("listen"); exit(1); }
  poller = epoll_create1(0);
  watch(listener, EPOLLIN);
  return listener;
}

// The next connection that waits, or -1.
static int next_connection(int listener) {
  int accepted;
  while ((accepted = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= max_connections) close(accepted);
  if (accepted >= 0) undelayed(accepted);
  return accepted;
}
