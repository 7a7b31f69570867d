"""Hostile clients: each of a number of threads attacks again and again; what it does follows from the seed, its number and its count."""
import random, socket, ssl, threading, time
from wire import (
    DATA, END_HEADERS, END_STREAM, FLOODS, GOAWAY, HEADERS, PREFACE, PRIORITISED, WINDOW, End, Over, any_frame, continuation_flood, frame, noise, pack_head,
    reset_stream, settings, u32, window_update)

PATHS = (
    "/bad-h1/{}", "/bad-h1/{}", "/bad-h2/{}", "/bad-h2/{}", "/bad-h1-tls/{}", "/bad-h2-tls/{}", "/bad-like/{}", "/retry-h1/{}", "/retry-h2/{}", "/good-h1/{}/500",
    "/good-h2/{}/500", "/good-h1/{}/300000", "/good-h2/{}/300000", "/direct", "/direct-204", "/direct-grpc", "/direct-large", "/redirect", "/dead/{}",
    "/nowhere", "/fault/{}", "/limited/{}", "/mutated/{}", "/socket/{}", "/", "/%00", "/../..", "//", "/a?b=c", "*")
METHODS = ("GET",) * 8 + ("POST", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "BREW", "G\0T", "")
FIELDS = (
    ("x-a", "b"), ("cookie", "a=b; c=d"), ("te", "trailers"), ("te", "gzip"), ("expect", "100-continue"), ("expect", "200-ok"), ("content-type", "application/grpc"),
    ("content-type", "application/grpc+json"), ("grpc-timeout", "1m"), ("grpc-timeout", "99999999999H"), ("x-envoy-upstream-rq-timeout-ms", "50"),
    ("x-envoy-max-retries", "5"), ("x-envoy-retry-on", "5xx,reset"), ("x-request-id", "z"), ("x-forwarded-for", "1.2.3.4, ::1, x"), ("x-forwarded-proto", "https"),
    ("connection", "close"), ("connection", "keep-alive, x-a, host"), ("upgrade", "websocket"), ("host", "b"), ("host", ""), ("content-length", "3"),
    ("content-length", "18446744073709551616"), ("transfer-encoding", "chunked"), ("x-nul", "a\0b"), ("bad name", "v"), ("", "v"), ("X-UP", "v"), (":path", "/two"),
    ("x-large", "y" * 9000), ("range", "bytes=0-1"), ("via", "1.1 x"), ("origin", "null"), ("x-envoy-fault-delay-request", "100"), ("authorization", "x"))


def small_windows(sock, rng):
    if rng.random() < 0.3:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)


class Clients:
    """`ports`: {"plain": …, "tls": …, "churn": …, "tcp": …, "echo": …}."""

    def __init__(self, seed, ports, stop, count, tell):
        self.seed, self.ports, self.stop, self.tell, self.attacks = seed, ports, stop, tell, 0
        self.tls = ssl.create_default_context()
        self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE
        self.threads = [threading.Thread(target=self.run, args=(n,), daemon=True) for n in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        count = 0
        while not self.stop.is_set():
            count += 1
            self.attacks += 1
            rng = random.Random(f"{self.seed}/{number}/{count}")
            attack = rng.choice((
                self.http1, self.http1, self.pipeline, self.upload, self.tunnel, self.http2, self.http2, self.http2, self.rapid_reset, self.flood, self.blocked,
                self.reader, self.junk, self.hello))
            port = rng.choice(("plain", "plain", "plain", "tls", "tls", "churn", "tcp"))
            self.tell(f"{number}/{count} {attack.__name__} {port}")
            end = None
            try:
                raw = socket.socket()
                small_windows(raw, rng)
                raw.settimeout(3)
                raw.connect(("127.0.0.1", self.ports[port]))
                end = End(raw, rng, self.stop)
                if port == "tls" and attack != self.hello and rng.random() < 0.97:
                    context = ssl.create_default_context()
                    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                    is_two = attack in (self.http2, self.rapid_reset, self.flood, self.blocked)
                    context.set_alpn_protocols(["h2"] if is_two == (rng.random() < 0.95) else ["http/1.1"])
                    end.sock = end.raw = context.wrap_socket(raw, server_hostname="localhost")
                attack(end, rng)
                end.leave()
            except (OSError, Over, ValueError):
                pass
            finally:
                if end:
                    end.sock.close()
            time.sleep(rng.choice((0, 0, 0.01, 0.1)))

    # HTTP/1

    def path(self, rng):
        return rng.choice(PATHS).format(rng.randint(0, 10**6))

    def head(self, rng, method=None, fields=()):
        method = method or rng.choice(METHODS)
        path = self.path(rng)
        if method == "CONNECT":
            path = rng.choice(("a:443", "a", "/bad-h1/1"))
        elif rng.random() < 0.03:
            path = "http://c" + path
        version = rng.choice((" HTTP/1.1",) * 20 + (" HTTP/1.0", " HTTP/1.9", " HTTP/2.0", "", " http/1.1"))
        drawn = [("host", "a")] * (rng.random() < 0.97) + [rng.choice(FIELDS) for _ in range(rng.choice((0, 0, 0, 1, 3)))] + list(fields)
        if rng.random() < 0.01:
            drawn += [(f"x-{i}", "v" * rng.choice((1, 100))) for i in range(rng.choice((99, 1000)))]
        end = rng.choice(("\r\n",) * 30 + ("\n", "\r"))
        return (method + " " + path + version + end + "".join(f"{n}: {v}{end}" for n, v in drawn) + end).encode("latin-1", "replace")

    def body(self, rng):
        """(fields that announce it, bytes): right, or not."""
        data = noise(rng, rng.choice((0, 10, 3000, 100_000)))
        form = rng.randint(0, 7)
        if form <= 2:
            return [("content-length", str(len(data)))], data
        if form <= 4:
            return [("transfer-encoding", "chunked")], b"%x\r\n%s\r\n" % (len(data), data) * bool(data) + b"0\r\n" + rng.choice((b"", b"x-t: 1\r\n", b"bad\r\n")) + b"\r\n"
        if form == 5:
            return [("content-length", str(len(data) + rng.choice((1, 100, 10**6))))], data
        if form == 6:
            return [("transfer-encoding", "chunked")], rng.choice((b"zz\r\n", b"ffffffffffffffff\r\n", b"3\r\nabcd\r\n", b"1\r\na\r\n" * 5000, b"5;" + b"x" * 5000))
        return [("transfer-encoding", "chunked"), ("content-length", "4")], data

    def http1(self, end, rng):
        for _ in range(rng.randint(1, 8)):
            if rng.random() < 0.4:
                fields, data = self.body(rng)
                whole = self.head(rng, rng.choice(("POST", "PUT", "GET")), fields) + data
            else:
                whole = self.head(rng)
            if rng.random() < 0.15:
                whole = whole[:rng.randint(0, len(whole))]
            end.send(whole)
            if rng.random() < 0.1:
                return
            end.receive(rng.choice((0.05, 0.5, 2)))

    def pipeline(self, end, rng):
        """Many requests at once; reads late, or never."""
        count = rng.choice((2, 5, 50, 400))
        end.send(b"".join(b"GET %s HTTP/1.1\r\nhost: a\r\n\r\n" % self.path(rng).encode() for _ in range(count)))
        if rng.random() < 0.5:
            end.sleep(rng.choice((0.1, 1)))
            end.drain(2)

    def upload(self, end, rng):
        """Content that comes slowly, is cut, or goes on behind an answer."""
        end.send(self.head(rng, "POST", [("transfer-encoding", "chunked")]))
        for _ in range(rng.randint(1, 60)):
            end.send(b"400\r\n" + bytes(1024) + b"\r\n")
            if rng.random() < 0.1:
                end.sleep(rng.choice((0.01, 0.3)))
            if rng.random() < 0.02:
                return
        if rng.random() < 0.7:
            end.send(b"0\r\n\r\n")
            end.receive(1)

    def tunnel(self, end, rng):
        upgrade = b"GET /socket/%d HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: %s\r\n%s\r\n" % (
            rng.randint(0, 10**6), rng.choice((b"websocket", b"websocket", b"h2c", b"x")), rng.choice((b"", b"", b"content-length: 5\r\n")))
        end.send(rng.choice((upgrade, upgrade, b"CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n")) + rng.choice((b"", noise(rng, 500))))
        for _ in range(rng.randint(0, 20)):
            end.send(noise(rng, 3000))
            if rng.random() < 0.5 and not end.receive(0.3):
                break

    # HTTP/2

    def request(self, rng, i):
        """HEADERS that are mostly right, and sometimes content."""
        fields = [(":method", rng.choice(METHODS)), (":scheme", "http"), (":authority", "a"), (":path", self.path(rng))]
        if rng.random() < 0.05:
            rng.shuffle(fields)
            fields = fields[:rng.randint(0, 4)]
        if rng.random() < 0.05:
            fields += [(":protocol", "websocket")]
        fields += [rng.choice(FIELDS) for _ in range(rng.choice((0, 0, 0, 0, 1, 2)))]
        block = pack_head([(n.encode("latin-1", "replace").decode("latin-1"), v) for n, v in fields])[:16384]
        ends = rng.random() < 0.6
        flags = END_STREAM * ends
        if rng.random() < 0.05:
            block, flags = u32(rng.choice((0, i, i + 2))) + b"\x10" + block, flags | PRIORITISED
        if rng.random() < 0.1:
            cut = rng.randint(0, len(block))
            out = frame(HEADERS, flags, i, block[:cut]) + frame(9, END_HEADERS, i, block[cut:])
        else:
            out = frame(HEADERS, flags | END_HEADERS, i, block)
        if not ends:
            for _ in range(rng.choice((0, 1, 1, 5))):
                out += frame(DATA, 0, i, noise(rng, 2000))
            if rng.random() < 0.7:
                out += frame(DATA, END_STREAM, i)
        return out

    def greet(self, end, rng):
        end.send(PREFACE + settings(rng.choice(({}, {}, {4: 0}, {4: 100}, {4: 2**31 - 1}, {1: 0}, {1: 2**20}, {3: 0}, {5: 2**24 - 1}, {6: 100}, {8: 1}))))
        if rng.random() < 0.6:
            end.send(frame(WINDOW, 0, 0, u32(2**30)))

    def http2(self, end, rng):
        """Requests, and anything else at any moment."""
        self.greet(end, rng)
        hostility, i = rng.choice((0.02, 0.1, 0.4)), 1
        reads = rng.choice((0.0, 0.3, 1.0))
        for _ in range(rng.choice((3, 30, 200))):
            if rng.random() < hostility:
                end.send(any_frame(rng, max(1, i - 2 * rng.randint(0, 10)) | 1))
            else:
                end.send(b"".join(self.request(rng, i + 2 * n) for n in range(rng.choice((1, 1, 10)))))
                i += 20
            if rng.random() < reads:
                end.receive(rng.choice((0.001, 0.05)))
                if rng.random() < 0.5:
                    end.send(frame(WINDOW, 0, 0, u32(20000)))
            if rng.random() < 0.03:
                end.sleep(rng.choice((0.05, 0.5)))

    def rapid_reset(self, end, rng):
        self.greet(end, rng)
        form = rng.choice((
            reset_stream, reset_stream, lambda rng, i: frame(WINDOW, 0, i, u32(0)), lambda rng, i: frame(2, 0, i, u32(i) + b"\1"),
            lambda rng, i: frame(DATA, 0, i, b"too much"), lambda rng, i: frame(HEADERS, 5, i, pack_head([(":path", "/")])), window_update))
        path = self.path(rng)
        fields = [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", path)] + [("content-length", "1")] * (rng.random() < 0.3)
        block, batch = pack_head(fields), rng.choice((1, 20, 400))
        for start in range(0, rng.choice((100, 1000)), batch):
            end.send(b"".join(
                frame(HEADERS, END_HEADERS | (END_STREAM if rng.random() < 0.5 else 0), i, block) + form(rng, i)
                for i in range(2 * start + 1, 2 * (start + batch), 2)))
            if rng.random() < 0.2:
                end.receive(0.01)

    def flood(self, end, rng):
        self.greet(end, rng)
        end.send(self.request(rng, 1))
        kind = rng.choice((*FLOODS, continuation_flood))
        for _ in range(rng.choice((1, 20))):
            end.send(b"".join(kind(rng, rng.choice((1, 1, 3))) for _ in range(rng.choice((10, 500)))))

    def blocked(self, end, rng):
        """Opens every window of HTTP/2 and reads nothing: what is answered stays with the proxy."""
        end.send(PREFACE + settings({4: 2**31 - 1}) + frame(WINDOW, 0, 0, u32(2**30)))
        for i in range(1, rng.choice((10, 100, 600)), 2):
            end.send(self.request(rng, i))
        end.sleep(rng.choice((0.2, 1, 2)))
        for i in range(1, 100, 2):
            if rng.random() < 0.1:
                end.send(reset_stream(rng, i))
        if rng.random() < 0.3:
            end.send(frame(GOAWAY, 0, 0, u32(0) + u32(0)))

    # Neither

    def reader(self, end, rng):
        """A large answer, read very slowly."""
        end.send(b"GET /good-h%d/1/3000000 HTTP/1.1\r\nhost: a\r\n\r\n" % rng.choice((1, 2)))
        for _ in range(rng.randint(1, 60)):
            if not end.receive(2, 3000):
                return
            end.sleep(0.05)

    def junk(self, end, rng):
        end.send(rng.choice((noise(rng, 3000), PREFACE[:rng.randint(1, 24)], b"\r\n" * 1000, b"\x16\x03\x01" + noise(rng, 600), b"GET " + b"a" * 100_000, b"")))
        end.receive(0.2)

    def hello(self, end, rng):
        """A handshake that breaks off somewhere, whatever the port."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.tls.wrap_bio(incoming, outgoing, server_hostname=rng.choice(("localhost", "a" * 200)))
        try:
            tls.do_handshake()
        except ssl.SSLError:
            pass
        hello = outgoing.read()
        if rng.random() < 0.5:
            hello = hello[:rng.randint(0, len(hello))]
        if rng.random() < 0.3 and hello:
            at = rng.randrange(len(hello))
            hello = hello[:at] + bytes([rng.randint(0, 255)]) + hello[at + 1:]
        end.send(hello)
        if rng.random() < 0.5:
            end.receive(0.5)
            end.send(noise(rng, 300))
