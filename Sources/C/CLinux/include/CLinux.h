// What Swift's Glibc module lacks: epoll, eventfd, signalfd, variadic and macro-only calls. No logic lives here.
// Calls return what the system call returned, or the negated errno.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <malloc.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

/// A stream socket (non-blocking, close-on-exec) of family `family` (an AF_ constant).
int weft_stream_socket(int family);
/// accept4 (non-blocking, close-on-exec); `address` has room for 128 bytes.
int weft_accept(int listener, void *address, uint32_t *length);
int weft_bind(int socket, const void *address, uint32_t length);
int weft_listen(int socket, int backlog);
int weft_connect(int socket, const void *address, uint32_t length);
int weft_local_address(int socket, void *address, uint32_t *length);
int weft_peer_address(int socket, void *address, uint32_t *length);
/// SO_ORIGINAL_DST (IPv4) or IP6T_SO_ORIGINAL_DST; `address` has room for 128 bytes.
int weft_original_destination(int socket, int v6, void *address, uint32_t *length);

int64_t weft_receive(int socket, void *base, size_t count);
/// send with MSG_NOSIGNAL.
int64_t weft_send(int socket, const void *base, size_t count);
/// sendmsg with MSG_NOSIGNAL over `count` pairs of address and length (struct iovec).
int64_t weft_send_vectors(int socket, const void *vectors, size_t count);
/// FIONREAD.
int weft_unread_bytes(int socket);
/// SIOCOUTQ: bytes that the peer has not acknowledged.
int weft_unsent_bytes(int socket);
int weft_shutdown_write(int socket);
/// SO_LINGER 0 before close, so that close sends RST.
int weft_linger_reset(int socket);
/// SO_ERROR: the pending error, which this clears.
int weft_take_error(int socket);

int weft_set_reuse_address(int socket);
int weft_set_reuse_port(int socket);
int weft_set_no_delay(int socket);
int weft_set_keepalive(int socket, int idle_seconds, int interval_seconds, int probes);
int weft_set_user_timeout(int socket, unsigned milliseconds);
int weft_set_transparent(int socket, int v6);
int weft_set_free_bind(int socket);
int weft_defer_port(int socket);
int weft_set_v6_only(int socket, int on);
int weft_set_mark(int socket, unsigned mark);
int weft_set_buffers(int socket, int bytes);
int weft_set_fast_open(int socket, int queue);
int weft_set_option(int socket, int level, int name, const void *value, uint32_t length);

int weft_epoll_create(void);
int weft_epoll_add(int poller, int fd, uint32_t events, uint64_t key);
int weft_epoll_modify(int poller, int fd, uint32_t events, uint64_t key);
int weft_epoll_remove(int poller, int fd);
/// epoll_wait; `timeout` in milliseconds, -1 for none.
int weft_epoll_wait(int poller, void *events, int capacity, int timeout);

int weft_eventfd(void);
/// An eventfd whose reads wait.
int weft_blocking_eventfd(void);
/// Adds one to an eventfd.
int weft_eventfd_signal(int fd);
/// Reads an eventfd back to zero.
int weft_eventfd_clear(int fd);

/// Blocks `count` signals in this thread and returns a signalfd for them.
int weft_signalfd(const int *signals, size_t count);
/// The next signal of a signalfd, 0 when there is none.
int weft_signalfd_next(int fd);

/// CLOCK_MONOTONIC in nanoseconds.
uint64_t weft_monotonic_nanoseconds(void);
/// Binds the calling thread to one processor.
int weft_pin_thread(int cpu);
/// Names the calling thread (at most 15 bytes).
int weft_name_thread(const char *name);
/// A descriptor of /dev/null, kept to be given up when descriptors run out.
int weft_spare_descriptor(void);
int weft_close(int fd);
/// Another descriptor of what `fd` names, close-on-exec.
int weft_duplicate(int fd);
/// Removes `path` when it is a socket.
int weft_remove_socket_file(const char *path);
int weft_change_mode(const char *path, unsigned mode);

/// An inotify descriptor (non-blocking, close-on-exec).
int weft_inotify_create(void);
/// Watches the directory `path` (symbolic links are followed) for everything that can change what is in it. Returns the
/// watch's number, the same one for the same directory.
int weft_inotify_watch_directory(int inotify, const char *path);
int weft_inotify_unwatch(int inotify, int watch);

/// What an inotify event says, as WEFT_NOTICE_ bits.
enum {
  /// A name appeared (a new file, a link, a directory), went, or came to stand for something else.
  WEFT_NOTICE_CREATED = 1,
  WEFT_NOTICE_REMOVED = 2,
  WEFT_NOTICE_RENAMED_HERE = 4,
  /// Bytes of a file were written, or it was cut; its writer has not closed it yet.
  WEFT_NOTICE_WRITTEN = 8,
  /// A file that was open for writing was closed.
  WEFT_NOTICE_CLOSED = 16,
  /// Mode or owner changed.
  WEFT_NOTICE_ATTRIBUTES = 32,
  /// The watched directory itself went or was moved.
  WEFT_NOTICE_GONE = 64,
  /// The watch has ended.
  WEFT_NOTICE_ENDED = 128,
  /// Events were lost.
  WEFT_NOTICE_OVERFLOW = 256,
  /// The name is a directory's.
  WEFT_NOTICE_IS_DIRECTORY = 512,
};

/// One event of a block that `read` filled.
struct weft_notice {
  int watch;
  uint32_t bits;
  /// The name within the block: empty for the directory itself.
  uint32_t name_offset;
  uint32_t name_length;
};

/// Takes the event at `offset` of a block of `count` bytes apart. Returns the offset of the next, or -EINVAL when there
/// is no whole event.
int64_t weft_inotify_next(const void *block, size_t count, size_t offset, struct weft_notice *notice);

/// fork and exec of `arguments[0]`, looked up on PATH, in a process group of its own, with no signal blocked or ignored.
/// `output`: a file that takes standard output and error, or NULL; `null_input`: standard input is /dev/null;
/// `death_signal`: what the child is sent when the calling thread ends (PR_SET_PDEATHSIG), or 0. Returns the child's id,
/// or the negated errno, also of exec.
int weft_spawn(char *const *arguments, char *const *environment, const char *output, int null_input, int death_signal);
