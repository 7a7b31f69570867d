"""Pieces that hostile peers are made of, the same for clients and servers: ends of connections, bytes in random portions, frames of HTTP/2
that break its rules one by one. Everything is drawn from the `random.Random` that is passed in."""
import pathlib, socket, ssl, struct, sys, time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "Differential"))
from h2 import (  # noqa: F401 - clients and servers take them from here
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING, PREFACE, PRIORITISED, PRIORITY, PUSH, RST, SETTINGS,
    WINDOW, HeadReader, frame, pack_head, pack_number, settings)

LONGEST_WAIT = 3.0


class Over(Exception):
    """The time of a round, or a connection, is over."""


class End:
    """One end of one connection, to be ended in any way. Writing never waits longer than `LONGEST_WAIT`."""

    def __init__(self, sock, rng, stop):
        self.sock, self.rng, self.stop = sock, rng, stop
        self.raw = sock
        sock.settimeout(LONGEST_WAIT)

    def send(self, data):
        """All of it, whole or in random portions with random pauses."""
        rng = self.rng
        if len(data) < 2 or rng.random() < 0.6:
            return self.sock.sendall(data)
        left, pauses = data, rng.choice((0, 0, 0.002, 0.05))
        deadline = time.monotonic() + LONGEST_WAIT
        while left:
            self.alive()
            n = rng.choice((1, 1, 2, 7, 100, 5000))
            if time.monotonic() > deadline:
                n = len(left)
            self.sock.sendall(left[:n])
            left = left[n:]
            if pauses and rng.random() < 0.2:
                self.sleep(pauses)

    def receive(self, seconds=LONGEST_WAIT, most=65536):
        """What there is; b"" at the end, or when nothing comes for `seconds`."""
        try:
            self.sock.settimeout(seconds)
            return self.sock.recv(most)
        except (TimeoutError, ssl.SSLWantReadError):
            return b""
        finally:
            self.sock.settimeout(LONGEST_WAIT)

    def drain(self, seconds, slow=False):
        """Reads on for `seconds`, or until the end."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.alive()
            if not self.receive(min(left, 0.5), 500 if slow else 65536):
                return
            if slow:
                self.sleep(0.01)

    def sleep(self, seconds):
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.alive()
            time.sleep(min(left, 0.1))

    def alive(self):
        if self.stop.is_set():
            raise Over

    def half_close(self):
        """A FIN without a word from TLS, as a program that dies behind a shut down socket leaves it."""
        self.raw.shutdown(socket.SHUT_WR)

    def reset(self):
        self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.sock.close()

    def leave(self):
        """Ends the connection in one of the ways there are."""
        way = self.rng.choice(("close", "close", "reset", "reset", "half", "half", "read", "slowly", "stall"))
        if way == "reset":
            return self.reset()
        if way == "half":
            self.half_close()
            self.drain(self.rng.choice((0.1, 1)))
        elif way == "read":
            self.drain(1)
        elif way == "slowly":
            self.drain(2, slow=True)
        elif way == "stall":
            self.sleep(self.rng.choice((0.3, 1, 2.5)))
        if self.rng.random() < 0.3:
            return self.reset()
        self.close()


# Frames. Each function takes (rng, stream number) and returns bytes.

def u32(n):
    return struct.pack(">I", n)


def noise(rng, most):
    return rng.randbytes(rng.randint(0, most))


def window_update(rng, i):
    return frame(WINDOW, 0, rng.choice((0, i, i + 2)), u32(rng.choice((0, 1, 1000, 2**20, 2**31 - 1))))


def some_settings(rng, i):
    choice = rng.choice
    entries = {
        choice((1, 2, 3, 4, 4, 4, 5, 6, 8, 9, 77)): choice((0, 0, 1, 2, 100, 4096, 16384, 65535, 2**20, 2**24, 2**31 - 1, 2**31, 2**32 - 1))
        for _ in range(rng.randint(0, 4))}
    return settings(entries)


def shut_windows(rng, i):
    return settings({4: 0})


def open_windows(rng, i):
    return settings({4: rng.choice((1, 100, 65535, 2**31 - 1))}) + frame(WINDOW, 0, 0, u32(2**24))


def settings_ack(rng, i):
    return frame(SETTINGS, ACK, 0)


def bad_settings(rng, i):
    return frame(SETTINGS, rng.choice((0, ACK)), rng.choice((0, i)), noise(rng, 20))


def ping(rng, i):
    return frame(PING, rng.choice((0, 0, ACK)), 0, rng.randbytes(8))


def bad_ping(rng, i):
    return frame(PING, 0, rng.choice((0, i)), noise(rng, 12))


def reset_stream(rng, i):
    return frame(RST, 0, i, u32(rng.choice((0, 1, 2, 3, 5, 7, 8, 10, 11, 13, 99, 2**32 - 1))))


def reset_idle(rng, i):
    return frame(RST, 0, rng.choice((0, i + 1000, i + 1)), u32(8))


def priority(rng, i):
    return frame(PRIORITY, 0, rng.choice((i, i, 0)), u32(rng.choice((i, 0, i + 2))) + b"\1" * rng.choice((1, 1, 1, 0, 3)))


def goaway(rng, i):
    return frame(GOAWAY, 0, 0, u32(rng.choice((0, i, max(1, i - 2), 2**31 - 1))) + u32(rng.choice((0, 0, 1, 11, 13))) + noise(rng, 30))


def empty_data(rng, i):
    return frame(DATA, rng.choice((0, 0, 0, END_STREAM)), i) * rng.choice((1, 1, 3, 300))


def some_data(rng, i):
    return frame(DATA, rng.choice((0, 0, END_STREAM)), i, noise(rng, rng.choice((1, 100, 16384))))


def much_data(rng, i):
    """More than any window that was not opened."""
    return b"".join(frame(DATA, 0, i, bytes(16384)) for _ in range(rng.choice((5, 12, 80))))


def padded_data(rng, i):
    body = noise(rng, 40)
    return frame(DATA, PADDED | rng.choice((0, END_STREAM)), i, bytes([rng.choice((0, 1, len(body), 255))]) + body)


def stray_data(rng, i):
    return frame(DATA, 0, rng.choice((0, i + 1000, i + 1, max(1, i - 2))), b"stray")


def continuation(rng, i):
    return frame(CONTINUATION, rng.choice((0, END_HEADERS)), rng.choice((0, i, i + 2)), pack_head([("a", "b")]))


def continuation_flood(rng, i):
    count = rng.choice((10, 300, 3000))
    return frame(HEADERS, 0, i, pack_head([("a", "b")])) + frame(CONTINUATION, 0, i, rng.choice((b"", pack_head([("x", "y" * 100)])))) * count


def broken_head(rng, i):
    """A block that no table or code allows, or that makes the table dance."""
    block = rng.choice((b"\xff\xff\xff\xff\xff\xff", b"\xbe", b"\x3f\xff\xff\xff\x7f", b"\x20" * 50, b"\x00\x85\xff\xff\xff\xff\xff\x00", noise(rng, 60)))
    return frame(HEADERS, END_HEADERS | rng.choice((0, END_STREAM)), i, block)


def trailers(rng, i):
    fields = rng.choice(([("x-sum", "1")], [(":status", "200")], [(":path", "/")], [("X-Up", "1")], [("connection", "close")], [("grpc-status", "7")],
                         [("content-length", "5")], [("x", "y" * 20000)], []))
    return frame(HEADERS, END_HEADERS | rng.choice((END_STREAM, END_STREAM, 0)), i, pack_head(fields)[:16384])


def push(rng, i):
    return frame(PUSH, END_HEADERS, i, u32(i + 1) + pack_head([(":method", "GET"), (":path", "/")]))


def unknown(rng, i):
    return frame(rng.randint(10, 255), rng.randint(0, 255), rng.choice((0, i)), noise(rng, 100)) * rng.choice((1, 1, 50))


def too_long(rng, i):
    return struct.pack(">I", rng.choice((16385, 2**24 - 1)))[1:] + bytes([rng.randint(0, 9), 0]) + u32(i) + noise(rng, 100)


def cut_frame(rng, i):
    whole = frame(rng.randint(0, 9), rng.randint(0, 255), i, noise(rng, 100))
    return whole[:rng.randint(1, len(whole))]


def http1_text(rng, i):
    return rng.choice((b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00"))


def random_frame(rng, i):
    return frame(rng.randint(0, 10), rng.randint(0, 255), rng.choice((0, i, rng.randint(0, 50))), noise(rng, 40))


# What may follow anything, with how often it is drawn. The harmless ones come often, so that a connection lives to see the others.
FRAMES = (
    (window_update, 6), (some_settings, 4), (shut_windows, 3), (open_windows, 6), (settings_ack, 2), (bad_settings, 1), (ping, 4), (bad_ping, 1),
    (reset_stream, 8), (reset_idle, 1), (priority, 3), (goaway, 2), (empty_data, 4), (some_data, 10), (much_data, 2), (padded_data, 3), (stray_data, 1),
    (continuation, 1), (continuation_flood, 1), (broken_head, 1), (trailers, 5), (push, 1), (unknown, 2), (too_long, 1), (cut_frame, 1), (http1_text, 1),
    (random_frame, 2))
_FUNCTIONS, _WEIGHTS = zip(*FRAMES)

# A frame many times over, as fast as it goes.
FLOODS = (ping, settings_ack, some_settings, priority, window_update, empty_data, reset_stream, unknown, stray_data, random_frame)


def any_frame(rng, i):
    return rng.choices(_FUNCTIONS, _WEIGHTS)[0](rng, i)
