// idle PORT COUNT: opens COUNT connections, sends one request on each and reads its answer, prints "open N", then holds them
// until standard input ends.
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int count, char **arguments) {
  if (count != 3) { fprintf(stderr, "usage: idle PORT COUNT\n"); return 2; }
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(arguments[1])),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const char request[] = "GET /api/x HTTP/1.1\r\nHost: svc-a.mesh.local\r\n\r\n";
  char answer[4096];
  int wanted = atoi(arguments[2]), open = 0;
  for (int i = 0; i < wanted; i++) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (void *)&address, sizeof address)) { perror("idle"); break; }
    if (send(fd, request, sizeof request - 1, 0) < 0 || recv(fd, answer, sizeof answer, 0) <= 0) break;
    open++;
  }
  printf("open %d\n", open);
  fflush(stdout);
  while (read(0, answer, sizeof answer) > 0) {}
  return open == wanted ? 0 : 1;
}
