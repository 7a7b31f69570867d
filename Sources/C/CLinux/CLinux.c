#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/inotify.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// The kernel headers that define these clash with the C library's.
#ifndef SO_ORIGINAL_DST
#define SO_ORIGINAL_DST 80
#endif
#ifndef IP6T_SO_ORIGINAL_DST
#define IP6T_SO_ORIGINAL_DST 80
#endif

static inline int64_t checked(int64_t result) { return result < 0 ? -(int64_t)errno : result; }

static inline int set_int(int fd, int level, int name, int value) {
  return (int)checked(setsockopt(fd, level, name, &value, sizeof value));
}

int weft_stream_socket(int family) { return (int)checked(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)); }

int weft_accept(int listener, void *address, uint32_t *length) {
  socklen_t n = 128;
  int fd = accept4(listener, address, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
  *length = n;
  return (int)checked(fd);
}

int weft_bind(int fd, const void *address, uint32_t length) { return (int)checked(bind(fd, address, length)); }
int weft_listen(int fd, int backlog) { return (int)checked(listen(fd, backlog)); }
int weft_connect(int fd, const void *address, uint32_t length) { return (int)checked(connect(fd, address, length)); }

int weft_local_address(int fd, void *address, uint32_t *length) {
  socklen_t n = 128;
  int result = getsockname(fd, address, &n);
  *length = n;
  return (int)checked(result);
}

int weft_peer_address(int fd, void *address, uint32_t *length) {
  socklen_t n = 128;
  int result = getpeername(fd, address, &n);
  *length = n;
  return (int)checked(result);
}

int weft_original_destination(int fd, int v6, void *address, uint32_t *length) {
  socklen_t n = 128;
  int result = v6 ? getsockopt(fd, IPPROTO_IPV6, IP6T_SO_ORIGINAL_DST, address, &n)
                  : getsockopt(fd, IPPROTO_IP, SO_ORIGINAL_DST, address, &n);
  *length = n;
  return (int)checked(result);
}

// These three are called for every event. glibc's wrappers are cancellation points: in a process with threads each call would switch the
// thread's cancel state on and off with locked instructions. Nothing here is ever cancelled.
int64_t weft_receive(int fd, void *base, size_t count) {
  return checked(syscall(SYS_recvfrom, fd, base, count, 0, NULL, NULL));
}

int64_t weft_send(int fd, const void *base, size_t count) {
  return checked(syscall(SYS_sendto, fd, base, count, MSG_NOSIGNAL, NULL, 0));
}

int64_t weft_send_vectors(int fd, const void *vectors, size_t count) {
  struct msghdr message;
  memset(&message, 0, sizeof message);
  message.msg_iov = (struct iovec *)vectors;
  message.msg_iovlen = count;
  return checked(sendmsg(fd, &message, MSG_NOSIGNAL));
}

int weft_unread_bytes(int fd) {
  int n = 0;
  int result = ioctl(fd, FIONREAD, &n);
  return result < 0 ? -errno : n;
}

int weft_unsent_bytes(int fd) {
  int n = 0;
  int result = ioctl(fd, SIOCOUTQ, &n);
  return result < 0 ? -errno : n;
}

int weft_shutdown_write(int fd) { return (int)checked(shutdown(fd, SHUT_WR)); }

int weft_linger_reset(int fd) {
  struct linger now = {1, 0};
  return (int)checked(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now));
}

int weft_take_error(int fd) {
  int error = 0;
  socklen_t n = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0 ? errno : error;
}

int weft_set_reuse_address(int fd) { return set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1); }
int weft_set_reuse_port(int fd) { return set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1); }
int weft_set_no_delay(int fd) { return set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1); }

int weft_set_keepalive(int fd, int idle_seconds, int interval_seconds, int probes) {
  int result = set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  if (result == 0) result = set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle_seconds);
  if (result == 0) result = set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, interval_seconds);
  if (result == 0) result = set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, probes);
  return result;
}

int weft_set_user_timeout(int fd, unsigned milliseconds) {
  return set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)milliseconds);
}

int weft_set_transparent(int fd, int v6) {
  return v6 ? set_int(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, 1) : set_int(fd, IPPROTO_IP, IP_TRANSPARENT, 1);
}

int weft_set_free_bind(int fd) { return set_int(fd, IPPROTO_IP, IP_FREEBIND, 1); }
int weft_defer_port(int fd) { return set_int(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1); }
int weft_set_v6_only(int fd, int on) { return set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, on); }
int weft_set_mark(int fd, unsigned mark) { return set_int(fd, SOL_SOCKET, SO_MARK, (int)mark); }

int weft_set_buffers(int fd, int bytes) {
  int result = set_int(fd, SOL_SOCKET, SO_SNDBUF, bytes);
  return result == 0 ? set_int(fd, SOL_SOCKET, SO_RCVBUF, bytes) : result;
}

int weft_set_fast_open(int fd, int queue) { return set_int(fd, IPPROTO_TCP, TCP_FASTOPEN, queue); }

int weft_set_option(int fd, int level, int name, const void *value, uint32_t length) {
  return (int)checked(setsockopt(fd, level, name, value, length));
}

int weft_epoll_create(void) { return (int)checked(epoll_create1(EPOLL_CLOEXEC)); }

static int epoll_change(int poller, int operation, int fd, uint32_t events, uint64_t key) {
  struct epoll_event event = {.events = events, .data = {.u64 = key}};
  return (int)checked(epoll_ctl(poller, operation, fd, &event));
}

int weft_epoll_add(int poller, int fd, uint32_t events, uint64_t key) {
  return epoll_change(poller, EPOLL_CTL_ADD, fd, events, key);
}

int weft_epoll_modify(int poller, int fd, uint32_t events, uint64_t key) {
  return epoll_change(poller, EPOLL_CTL_MOD, fd, events, key);
}

int weft_epoll_remove(int poller, int fd) { return epoll_change(poller, EPOLL_CTL_DEL, fd, 0, 0); }

int weft_epoll_wait(int poller, void *events, int capacity, int timeout) {
  return (int)checked(syscall(SYS_epoll_pwait, poller, events, capacity, timeout, NULL, (size_t)8));
}

int weft_eventfd(void) { return (int)checked(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)); }

int weft_blocking_eventfd(void) { return (int)checked(eventfd(0, EFD_CLOEXEC)); }

int weft_eventfd_signal(int fd) {
  uint64_t one = 1;
  return (int)checked(write(fd, &one, sizeof one));
}

int weft_eventfd_clear(int fd) {
  uint64_t count;
  return (int)checked(read(fd, &count, sizeof count));
}

int weft_signalfd(const int *signals, size_t count) {
  sigset_t set;
  sigemptyset(&set);
  for (size_t i = 0; i < count; i++) sigaddset(&set, signals[i]);
  int result = pthread_sigmask(SIG_BLOCK, &set, NULL);
  if (result != 0) return -result;
  return (int)checked(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
}

int weft_signalfd_next(int fd) {
  struct signalfd_siginfo info;
  return read(fd, &info, sizeof info) == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
}

uint64_t weft_monotonic_nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int weft_pin_thread(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return (int)checked(sched_setaffinity(0, sizeof set, &set));
}

int weft_name_thread(const char *name) { return -pthread_setname_np(pthread_self(), name); }
int weft_spare_descriptor(void) { return (int)checked(open("/dev/null", O_RDONLY | O_CLOEXEC)); }
int weft_duplicate(int fd) { return (int)checked(fcntl(fd, F_DUPFD_CLOEXEC, 0)); }
int weft_close(int fd) { return (int)checked(close(fd)); }

int weft_remove_socket_file(const char *path) {
  struct stat info;
  if (lstat(path, &info) < 0) return -errno;
  return S_ISSOCK(info.st_mode) ? (int)checked(unlink(path)) : -EEXIST;
}

int weft_change_mode(const char *path, unsigned mode) { return (int)checked(chmod(path, mode)); }

int weft_inotify_create(void) { return (int)checked(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)); }

int weft_inotify_watch_directory(int inotify, const char *path) {
  return (int)checked(inotify_add_watch(inotify, path,
                                        IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY | IN_CLOSE_WRITE |
                                            IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR));
}

int weft_inotify_unwatch(int inotify, int watch) { return (int)checked(inotify_rm_watch(inotify, watch)); }

int64_t weft_inotify_next(const void *block, size_t count, size_t offset, struct weft_notice *notice) {
  static const struct {
    uint32_t kernel, ours;
  } bits[] = {
      {IN_CREATE, WEFT_NOTICE_CREATED},          {IN_DELETE | IN_MOVED_FROM, WEFT_NOTICE_REMOVED},
      {IN_MOVED_TO, WEFT_NOTICE_RENAMED_HERE},   {IN_MODIFY, WEFT_NOTICE_WRITTEN},
      {IN_CLOSE_WRITE, WEFT_NOTICE_CLOSED},      {IN_ATTRIB, WEFT_NOTICE_ATTRIBUTES},
      {IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT, WEFT_NOTICE_GONE}, {IN_IGNORED, WEFT_NOTICE_ENDED},
      {IN_Q_OVERFLOW, WEFT_NOTICE_OVERFLOW},     {IN_ISDIR, WEFT_NOTICE_IS_DIRECTORY},
  };
  struct inotify_event event;
  if (offset > count || count - offset < sizeof event) return -EINVAL;
  const char *at = (const char *)block + offset;
  memcpy(&event, at, sizeof event);
  if (count - offset - sizeof event < event.len) return -EINVAL;
  notice->watch = event.wd;
  notice->bits = 0;
  for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
    if (event.mask & bits[i].kernel) notice->bits |= bits[i].ours;
  notice->name_offset = (uint32_t)(offset + sizeof event);
  notice->name_length = (uint32_t)strnlen(at + sizeof event, event.len);
  return (int64_t)(offset + sizeof event + event.len);
}

// In the child: only calls that are safe between fork and exec of a process with threads. Returns the errno of what failed.
static int become(char *const *arguments, char *const *environment, const char *output, int null_input, int death_signal,
                  pid_t parent) {
  setpgid(0, 0);
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  if (death_signal != 0) {
    if (prctl(PR_SET_PDEATHSIG, death_signal) != 0) return errno;
    // The parent may have gone before it was asked for.
    if (getppid() != parent) return ECHILD;
  }
  if (output != NULL) {
    int file = open(output, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (file < 0 || dup2(file, 1) < 0 || dup2(file, 2) < 0) return errno;
    if (file > 2) close(file);
  }
  if (null_input) {
    int nothing = open("/dev/null", O_RDONLY);
    if (nothing < 0 || dup2(nothing, 0) < 0) return errno;
    if (nothing > 2) close(nothing);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  execvpe(arguments[0], arguments, environment);
  return errno;
}

int weft_spawn(char *const *arguments, char *const *environment, const char *output, int null_input, int death_signal) {
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) return -errno;
  // No handler of ours runs in the child.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t parent = getpid();
  pid_t pid = fork();
  if (pid == 0) {
    int failure = become(arguments, environment, output, null_input, death_signal, parent);
    ssize_t ignored = write(report[1], &failure, sizeof failure);
    (void)ignored;
    _exit(127);
  }
  int failure = pid < 0 ? errno : 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  close(report[1]);
  if (pid > 0) {
    // Both sides do it: whoever comes first.
    setpgid(pid, pid);
    ssize_t count;
    do count = read(report[0], &failure, sizeof failure);
    while (count < 0 && errno == EINTR);
    if (count == (ssize_t)sizeof failure) {
      while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {}
    } else {
      failure = 0;
    }
  }
  close(report[0]);
  return failure != 0 ? -failure : pid;
}
