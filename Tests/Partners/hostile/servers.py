"""Hostile servers: one thread for each connection; what a connection does follows from the seed and its number."""
import random, socket, ssl, threading
from wire import (
    ACK, DATA, END_HEADERS, END_STREAM, FLOODS, HEADERS, LONGEST_WAIT, PING, SETTINGS, WINDOW, End, Over, any_frame, frame, goaway, much_data, noise, pack_head,
    reset_stream, settings, trailers, u32)

NASTY_FIELDS = (
    ("x-nul", "a\0b"), ("x-line", "a\x0bb"), ("", "empty"), ("bad name", "1"), ("x-ünicode", "ü"), ("x-high", "\xff\xfe"), ("X-UPPER", "1"), (":status", "500"),
    ("connection", "x-a, keep-alive, te"), ("te", "gzip"), ("upgrade", "h2c"), ("keep-alive", "timeout=0"), ("proxy-connection", "close"),
    ("content-length", "5"), ("content-length", "-1"), ("content-length", "18446744073709551617"), ("transfer-encoding", "gzip, chunked"),
    ("host", "else"), ("set-cookie", "a=b"), ("content-type", "application/grpc"), ("content-type", "application/grpc-web+proto"), ("grpc-status", "99999999999"),
    ("grpc-status", "0"), ("grpc-message", "a%0Ab%"), ("x-envoy-overloaded", "true"), ("x-envoy-immediate-health-check-fail", "true"),
    ("x-envoy-ratelimited", "true"), ("x-envoy-upstream-service-time", "abc"), ("location", "/\0"), ("date", "x" * 5000), ("x-large", "y" * 70000),
    ("trailer", "x-sum"), ("expect", "100-continue"), ("retry-after", "1"), ("x-envoy-max-retries", "1000"))


def http1_fields(rng):
    fields = [rng.choice(NASTY_FIELDS) for _ in range(rng.choice((0, 0, 0, 1, 2)))]
    if rng.random() < 0.02:
        fields += [(f"x-{i}", "v") for i in range(rng.choice((90, 2000)))]
    return "".join(f"{n}: {v}\r\n" for n, v in fields).encode("latin-1", "replace")


def chunks(rng, body):
    out, left = b"", body
    while left:
        n = rng.choice((1, 10, 4000, len(left)))
        out += b"%x\r\n%s\r\n" % (len(left[:n]), left[:n])
        left = left[n:] if n < len(left) or rng.random() < 0.9 else b""
        if len(out) > 1 << 20:
            break
    return out + b"0\r\n" + rng.choice((b"", b"", b"x-sum: 1\r\n", b"content-length: 1\r\n", b"x: " + b"y" * 70000 + b"\r\n", b"bad\r\n")) + b"\r\n"


def http1_answer(rng):
    """Bytes that stand for a response, and whether the connection may go on behind them."""
    status = rng.choice((200, 200, 200, 200, 204, 304, 500, 503, 404, 302, 206, 100, 101, 103, 99, 600, 999))
    line = rng.choice((b"HTTP/1.1 %d OK\r\n",) * 12 + (b"HTTP/1.0 %d\r\n", b"HTTP/2 %d\r\n", b"ICY %d\r\n", b"HTTP/1.1 %d \xff\r\n", b"%d\r\n", b"\r\n\r\n%d")) % status
    head = line + http1_fields(rng)
    body = noise(rng, rng.choice((0, 10, 2000, 200_000)))
    form = rng.randint(0, 15)
    if form <= 3:
        return head + b"content-length: %d\r\n\r\n" % len(body) + body, True
    if form <= 6:
        return head + b"transfer-encoding: chunked\r\n\r\n" + chunks(rng, body), True
    if form == 7:
        return head + b"\r\n" + body, False
    if form == 8:  # a length that lies, in either direction
        return head + b"content-length: %d\r\n\r\n" % max(0, len(body) + rng.choice((-1, 1, 5, 10_000, -5))) + body, rng.random() < 0.5
    if form == 9:
        return head + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n" + chunks(rng, body), True
    if form == 10:
        bad = rng.choice((b"xyz\r\n", b"ffffffffffffffffff\r\n", b"-1\r\n", b"5 \r\nhello\r\n", b"5;" + b"e" * 70000, b"5\r\nhelloo\r\n", b"5\nhello\n"))
        return head + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n" + bad, False
    if form == 11:
        return b"HTTP/1.1 100 Continue\r\n\r\n" * rng.choice((1, 5, 200)) + b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", True
    if form == 12:  # twice, or something behind it
        return b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok" * 2 + noise(rng, 20), True
    if form == 13:
        whole = head + b"content-length: %d\r\n\r\n" % len(body) + body
        return whole[:rng.randint(0, len(whole))], False
    if form == 14:
        return b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok" + noise(rng, 20), True
    return noise(rng, 300), False


class Servers:
    def __init__(self, seed, listeners, stop, tls):
        """`listeners`: {name: listening socket}; the name says what is spoken: h1, h2, h1-tls, h2-tls, raw."""
        self.seed, self.stop, self.contexts, self.accepted = seed, stop, {}, 0
        for name, sock in listeners.items():
            if name.endswith("-tls"):
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*tls)
                context.set_alpn_protocols(["h2"] if name.startswith("h2") else ["http/1.1"])
                self.contexts[name] = context
            threading.Thread(target=self.accept, args=(name, sock), daemon=True).start()

    def accept(self, name, sock):
        number = 0
        sock.settimeout(0.2)
        while not self.stop.is_set():
            try:
                raw, _ = sock.accept()
            except OSError:
                continue
            number += 1
            self.accepted += 1
            try:
                threading.Thread(target=self.serve, args=(name, number, raw), daemon=True).start()
            except RuntimeError:
                raw.close()

    def serve(self, name, number, raw):
        rng = random.Random(f"{self.seed}/{name}/{number}")
        end = None
        try:
            if rng.random() < 0.1:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            end = End(raw, rng, self.stop)
            if rng.random() < 0.03:
                return end.leave()
            if name in self.contexts:
                if rng.random() < 0.05:
                    end.send(noise(rng, 200))
                    return end.leave()
                end.sock = self.contexts[name].wrap_socket(raw, server_side=True)
                end.raw = end.sock
            kind = name.partition("-")[0]
            if rng.random() < 0.02:
                kind = rng.choice(("h1", "h2", "raw"))
            {"h1": self.http1, "h2": self.http2, "raw": self.bytes}[kind](end, rng)
            end.leave()
        except (OSError, Over, ValueError):
            pass
        finally:
            raw.close()
            if end:
                end.sock.close()

    def bytes(self, end, rng):
        for _ in range(rng.randint(0, 20)):
            end.send(noise(rng, 5000))
            if rng.random() < 0.5 and not end.receive(0.2):
                break

    def http1(self, end, rng):
        for _ in range(rng.randint(1, 30)):
            if rng.random() < 0.04:  # nobody asked
                end.send(http1_answer(rng)[0])
            head = b""
            while b"\r\n\r\n" not in head:
                more = end.receive(LONGEST_WAIT)
                if not more:
                    return
                head = (head + more)[-100_000:]
            if rng.random() < 0.15:
                end.sleep(rng.choice((0.01, 0.2, 1, 4)))
            what = rng.random()
            if what < 0.06:
                return
            if what < 0.12 and b"pgrade" in head or head.startswith(b"CONNECT"):
                end.send(rng.choice((b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n")))
                return self.bytes(end, rng)
            answer, goes_on = http1_answer(rng)
            end.send(answer)
            if not goes_on and rng.random() < 0.8:
                return
            if rng.random() < 0.1:
                end.drain(0.3)

    def http2(self, end, rng):
        """Answers each request in its own way, and says anything in between."""
        streams, buffer, greeted = [], b"", False
        if rng.random() < 0.9:
            end.send(settings(rng.choice(({}, {}, {3: 1}, {3: 0}, {4: 0}, {4: 10}, {5: 16384, 4: 2**31 - 1}, {1: 0}))))
        hostility = rng.choice((0.0, 0.05, 0.2, 0.6))
        reads = rng.random() > 0.1
        for _ in range(rng.randint(1, 300)):
            more = end.receive(rng.choice((0.02, 0.1, 1))) if reads or not greeted else b""
            buffer += more
            if not greeted and len(buffer) >= 24:
                buffer, greeted = buffer[24:], True
            while greeted and len(buffer) >= 9 and len(buffer) >= 9 + int.from_bytes(buffer[:3], "big"):
                size, kind, flags, i = int.from_bytes(buffer[:3], "big"), buffer[3], buffer[4], int.from_bytes(buffer[5:9], "big")
                payload, buffer = buffer[9:9 + size], buffer[9 + size:]
                if kind == HEADERS:
                    streams.append(i)
                elif kind in (SETTINGS, PING) and not flags & ACK and rng.random() < 0.95:
                    end.send(frame(kind, ACK, 0, payload if kind == PING else b""))
                elif kind == DATA and size and rng.random() < 0.7:
                    end.send(frame(WINDOW, 0, 0, u32(size)) + frame(WINDOW, 0, i, u32(size)))
            if rng.random() < hostility:
                i = rng.choice(streams) if streams else 1
                if rng.random() < 0.04:
                    end.send(b"".join(rng.choice(FLOODS)(rng, i) for _ in range(rng.choice((50, 2000)))))
                else:
                    end.send(any_frame(rng, i))
            while streams and rng.random() < 0.8:
                i = streams.pop(rng.randrange(len(streams)))
                end.send(self.http2_answer(rng, i))
                if rng.random() < 0.02:
                    return
            if rng.random() < 0.01:
                end.sleep(rng.choice((0.1, 1, 2.5)))

    def http2_answer(self, rng, i):
        def head(fields, *flags):
            return frame(HEADERS, END_HEADERS | sum(flags), i, pack_head(fields)[:16384])

        status = (":status", str(rng.choice((200, 200, 200, 204, 304, 500, 503, 404, 100, 103, 101, "abc", "", 99, 1000))))
        nasty = [f for f in (rng.choice(NASTY_FIELDS) for _ in range(rng.choice((0, 0, 1)))) if len(f[1]) < 6000]
        nasty = [(n.encode("latin-1", "replace").decode("latin-1"), v.encode("latin-1", "replace").decode("latin-1")) for n, v in nasty]
        body = noise(rng, rng.choice((0, 10, 2000, 16384)))
        ok = [(":status", "200")]
        form = rng.randint(0, 17)
        if form <= 3:
            return head([status, *nasty]) + frame(DATA, END_STREAM, i, body)
        if form == 4:
            return head([status, *nasty], END_STREAM)
        if form == 5:  # ends without bytes, as most servers write it
            return head(ok) + frame(DATA, END_STREAM, i)
        if form == 6:
            return head(ok) + frame(DATA, 0, i, body) + rng.choice((b"", reset_stream(rng, i)))
        if form == 7:
            return head(ok) + frame(DATA, 0, i, body) + trailers(rng, i)
        if form == 8:
            return head(ok) + trailers(rng, i)
        if form == 9:
            return head(rng.choice(([], [("x", "y")], [*ok, *ok], [("x", "y"), *ok], [*ok, (":path", "/")])), rng.choice((0, END_STREAM)))
        if form == 10:
            return head([*ok, ("content-length", str(max(0, len(body) + rng.choice((-1, 1, 100)))))]) + frame(DATA, END_STREAM, i, body)
        if form == 11:
            return head([(":status", "103"), ("link", "x")]) * rng.choice((1, 3, 200)) + head(ok, END_STREAM)
        if form == 12:
            return reset_stream(rng, i)
        if form == 13:
            return goaway(rng, i)
        if form == 14:
            return frame(DATA, 0, i, body) + head(ok, END_STREAM)
        if form == 15:
            return head([*ok, ("content-type", "application/grpc"), ("grpc-status", rng.choice(("0", "14", "x", "")))], rng.choice((0, END_STREAM)))
        if form == 16:  # a whole answer before its request has ended, and more behind it
            return head(ok) + frame(DATA, END_STREAM, i, body) + any_frame(rng, i)
        return b"".join(frame(DATA, 0, i, bytes(1000)) for _ in range(3)) if rng.random() < 0.3 else head(ok) + much_data(rng, i)
