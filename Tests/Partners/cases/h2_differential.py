#!/usr/bin/env python3
"""The rules of RFC 9113 and RFC 7541, one by one, against a live weft-proxy: frames sent, and what must come back. nghttp2's own server
gets the same bytes; wherever it reacts in another way, that is listed here with the reason, or the case fails."""
import socket, struct, sys
import lab

DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
NO, PROTOCOL, INTERNAL, FLOW, TIMEOUT, CLOSED, SIZE, REFUSED, CANCEL, COMPRESSION, CONNECT, CALM = range(12)
END_STREAM, ACK, END_HEADERS, PADDED, PRIO = 1, 1, 4, 8, 32
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MARK = b"the mark"


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def lit(name, value):
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def word(n):
    return struct.pack(">I", n)


def setting(number, value):
    return struct.pack(">HI", number, value)


def get(path="/", *more, method="GET", scheme="http", authority="a"):
    return (lit(":method", method) + lit(":scheme", scheme) + lit(":path", path) + lit(":authority", authority)
            + b"".join(lit(*field) for field in more))


def head(stream=1, block=None, flags=END_STREAM | END_HEADERS):
    return frame(HEADERS, flags, stream, get() if block is None else block)


def post(stream=1, *more):
    return head(stream, get("/", *more, method="POST"), END_HEADERS)


class Seen:
    """What came back."""

    def __init__(self):
        self.goaway, self.closed, self.resets, self.heads, self.acks, self.pongs = None, False, {}, set(), 0, []

    def kind(self):
        if self.goaway not in (None, NO) or self.closed:
            return "connection"
        return "stream" if self.resets else "response" if self.heads else "quiet"

    def __str__(self):
        return f"goaway={self.goaway} closed={self.closed} resets={self.resets} responses={sorted(self.heads)}"


def play(port, data, opening=True, answers=(), window=None):
    """Sends `data` behind the opening; reads until the connection ends, or the mark is back and `answers` have come."""
    seen, rest = Seen(), b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
        start = PREFACE + frame(SETTINGS, 0, 0, b"" if window is None else setting(4, window)) if opening else b""
        try:
            s.sendall(start + data + frame(PING, 0, 0, MARK))
        except OSError:
            pass
        s.settimeout(5)
        marked = False
        while not (marked and all(stream in seen.heads or stream in seen.resets for stream in answers)):
            try:
                got = s.recv(65536)
            except socket.timeout:
                break
            except OSError:
                got = b""
            if not got:
                seen.closed = True
                break
            rest += got
            while len(rest) >= 9 and len(rest) >= 9 + int.from_bytes(rest[:3], "big"):
                n, kind, flags, stream = int.from_bytes(rest[:3], "big"), rest[3], rest[4], int.from_bytes(rest[5:9], "big")
                payload, rest = rest[9:9 + n], rest[9 + n:]
                if kind == GOAWAY:
                    seen.goaway = int.from_bytes(payload[4:8], "big")
                elif kind == RST:
                    # A reset after the response only says that the rest of the request is not wanted.
                    if not (stream in seen.heads and int.from_bytes(payload, "big") == NO):
                        seen.resets[stream] = int.from_bytes(payload, "big")
                elif kind == HEADERS:
                    seen.heads.add(stream)
                elif kind == SETTINGS and flags & ACK:
                    seen.acks += 1
                elif kind == PING and flags & ACK:
                    if payload == MARK:
                        marked = True
                    else:
                        seen.pongs.append(payload)
    return seen


def connection(*codes):
    return ("connection", codes)


def stream(number, *codes):
    return ("stream", number, codes)


def answered(*streams):
    return ("response", streams)


QUIET = ("quiet",)
BIG = b"x" * 16384

# Section of RFC 9113 (or 7541), what is sent, what must happen.
CASES = [
    ("3.4 a bad preface", b"INVALID PREFACE AND MORE\r\n\r\n" + b"x" * 40, connection(PROTOCOL), {"opening": False}),
    ("3.4 no SETTINGS after the preface", PREFACE + frame(PING, 0, 0, b"12345678"), connection(PROTOCOL), {"opening": False}),
    ("3.4 SETTINGS are acknowledged", frame(SETTINGS, 0, 0, setting(3, 100)) + head(), answered(1)),
    ("4.1 a frame of unknown type is ignored", frame(0x77, 0xff, 0, b"12345678") + head(), answered(1)),
    ("4.1 undefined flags are ignored", frame(PING, 0xfe, 0, b"12345678") + head(), answered(1)),
    ("4.1 the reserved bit is ignored", frame(PING, 0, 0x80000000, b"12345678") + head(), answered(1)),
    ("4.2 DATA of the largest size", post() + frame(DATA, END_STREAM, 1, BIG), answered(1)),
    ("4.2 DATA above the largest size", post() + frame(DATA, END_STREAM, 1, BIG + b"x"), connection(SIZE)),
    ("4.2 HEADERS above the largest size", head(1, get() + lit("x", "y") * 4000), connection(SIZE)),
    ("4.3 a broken header block", head(1, b"\x82\xff\xff\xff\xff\xff\xff\xff"), connection(COMPRESSION)),
    ("4.3 PRIORITY inside a header block", head(1, get(), END_STREAM) + frame(PRIORITY, 0, 1, word(0) + b"\1"), connection(PROTOCOL)),
    ("4.3 another stream's HEADERS inside a block", head(1, get(), END_STREAM) + head(3), connection(PROTOCOL)),
    ("4.3 an unknown frame inside a block", head(1, get(), END_STREAM) + frame(0x77, 0, 0), connection(PROTOCOL)),
    ("5.1 DATA on an idle stream", frame(DATA, END_STREAM, 1, b"x"), connection(PROTOCOL)),
    ("5.1 RST_STREAM on an idle stream", frame(RST, 0, 1, word(CANCEL)), connection(PROTOCOL)),
    ("5.1 WINDOW_UPDATE on an idle stream", frame(WINDOW, 0, 1, word(1)), connection(PROTOCOL)),
    ("5.1 CONTINUATION on an idle stream", frame(CONTINUATION, END_HEADERS, 1, get()), connection(PROTOCOL)),
    ("5.1 PRIORITY on an idle stream is allowed", frame(PRIORITY, 0, 3, word(0) + b"\1") + head(5), answered(5)),
    ("5.1 DATA after END_STREAM", head() + frame(DATA, END_STREAM, 1, b"x"), stream(1, CLOSED)),
    ("5.1 HEADERS after END_STREAM", head() + head(), connection(CLOSED)),
    ("5.1 CONTINUATION after END_HEADERS", head() + frame(CONTINUATION, END_HEADERS, 1, get()), connection(PROTOCOL)),
    ("5.1 DATA after a reset", post() + frame(RST, 0, 1, word(CANCEL)) + frame(DATA, END_STREAM, 1, b"x"), stream(1, CLOSED)),
    ("5.1 HEADERS after a reset", post() + frame(RST, 0, 1, word(CANCEL)) + head(), connection(CLOSED)),
    ("5.1 WINDOW_UPDATE after END_STREAM is allowed", head() + frame(WINDOW, 0, 1, word(1)) + head(3), answered(1, 3)),
    ("5.1 RST_STREAM after END_STREAM is allowed", head() + frame(RST, 0, 1, word(CANCEL)) + head(3), answered(3)),
    ("5.1.1 an even stream", head(2), connection(PROTOCOL)),
    ("5.1.1 a number that goes down", head(5) + head(3), connection(PROTOCOL, CLOSED)),
    ("5.1.1 numbers may be left out", head(5) + head(9), answered(5, 9)),
    ("5.3.1 HEADERS that depend on themselves", head(1, word(1) + b"\xff" + get(), END_STREAM | END_HEADERS | PRIO), stream(1, PROTOCOL)),
    ("5.3.1 PRIORITY that depends on itself", post() + frame(PRIORITY, 0, 1, word(1) + b"\xff"), stream(1, PROTOCOL)),
    ("5.5 PUSH_PROMISE from a client", head() + frame(PUSH, END_HEADERS, 1, word(2) + get()), connection(PROTOCOL)),
    ("6.1 DATA on stream 0", frame(DATA, 0, 0, b"x"), connection(PROTOCOL)),
    ("6.1 padding as long as the frame", post() + frame(DATA, END_STREAM | PADDED, 1, b"\6hello"), connection(PROTOCOL)),
    ("6.1 padded DATA", post() + frame(DATA, END_STREAM | PADDED, 1, b"\2hello\0\0"), answered(1)),
    ("6.1 only padding", post() + frame(DATA, END_STREAM | PADDED, 1, b"\3\0\0\0"), answered(1)),
    ("6.2 HEADERS on stream 0", head(0), connection(PROTOCOL)),
    ("6.2 HEADERS with too much padding", head(1, b"\x40" + get()[:30], END_STREAM | END_HEADERS | PADDED), connection(PROTOCOL)),
    ("6.2 padded HEADERS with priority", head(1, b"\3" + word(0) + b"\1" + get() + b"\0\0\0", END_STREAM | END_HEADERS | PADDED | PRIO), answered(1)),
    ("6.3 PRIORITY on stream 0", frame(PRIORITY, 0, 0, word(1) + b"\1"), connection(PROTOCOL)),
    ("6.3 PRIORITY of a wrong length", post() + frame(PRIORITY, 0, 1, b"\0\0\0\0"), stream(1, SIZE)),
    ("6.4 RST_STREAM on stream 0", frame(RST, 0, 0, word(CANCEL)), connection(PROTOCOL)),
    ("6.4 RST_STREAM of a wrong length", post() + frame(RST, 0, 1, b"\0\0\0"), connection(SIZE)),
    ("6.5 SETTINGS with ACK and payload", frame(SETTINGS, ACK, 0, setting(1, 0)), connection(SIZE)),
    ("6.5 SETTINGS on a stream", frame(SETTINGS, 0, 1, setting(1, 0)), connection(PROTOCOL)),
    ("6.5 SETTINGS of a wrong length", frame(SETTINGS, 0, 0, b"\0\3\0"), connection(SIZE)),
    ("6.5.2 ENABLE_PUSH 2", frame(SETTINGS, 0, 0, setting(2, 2)), connection(PROTOCOL)),
    ("6.5.2 a window above 2^31-1", frame(SETTINGS, 0, 0, setting(4, 0x80000000)), connection(FLOW)),
    ("6.5.2 MAX_FRAME_SIZE too small", frame(SETTINGS, 0, 0, setting(5, 16383)), connection(PROTOCOL)),
    ("6.5.2 MAX_FRAME_SIZE too large", frame(SETTINGS, 0, 0, setting(5, 16777216)), connection(PROTOCOL)),
    ("6.5.2 an unknown setting is ignored", frame(SETTINGS, 0, 0, setting(0xfff, 1)) + head(), answered(1)),
    ("6.5.2 ENABLE_CONNECT_PROTOCOL 2 (RFC 8441)", frame(SETTINGS, 0, 0, setting(8, 2)), connection(PROTOCOL)),
    ("6.5.3 the last of repeated settings counts", frame(SETTINGS, 0, 0, setting(4, 0) + setting(4, 65535)) + head(), answered(1)),
    ("6.7 PING on a stream", frame(PING, 0, 1, b"12345678"), connection(PROTOCOL)),
    ("6.7 PING of a wrong length", frame(PING, 0, 0, b"1234567"), connection(SIZE)),
    ("6.7 an answer nobody asked for is ignored", frame(PING, ACK, 0, b"12345678") + head(), answered(1)),
    ("6.8 GOAWAY on a stream", frame(GOAWAY, 0, 1, word(0) + word(0)), connection(PROTOCOL)),
    ("6.8 GOAWAY too short", frame(GOAWAY, 0, 0, word(0)), connection(SIZE)),
    ("6.9 WINDOW_UPDATE of 0 on the connection", frame(WINDOW, 0, 0, word(0)), connection(PROTOCOL)),
    ("6.9 WINDOW_UPDATE of 0 on a stream", post() + frame(WINDOW, 0, 1, word(0)), stream(1, PROTOCOL)),
    ("6.9 WINDOW_UPDATE of a wrong length", frame(WINDOW, 0, 0, b"\0\0\1"), connection(SIZE)),
    ("6.9.1 a connection window above 2^31-1", frame(WINDOW, 0, 0, word(0x7fffffff)), connection(FLOW)),
    ("6.9.1 a stream window above 2^31-1", post() + frame(WINDOW, 0, 1, word(0x7fffffff)), stream(1, FLOW)),
    ("6.9.2 a window made too large by SETTINGS", post() + frame(WINDOW, 0, 1, word(0x7fff0000)) + frame(SETTINGS, 0, 0, setting(4, 0x7fffffff)), connection(FLOW)),
    ("6.10 CONTINUATION", head(1, get()[:7], END_STREAM) + frame(CONTINUATION, 0, 1, get()[7:11]) + frame(CONTINUATION, END_HEADERS, 1, get()[11:]), answered(1)),
    ("6.10 CONTINUATION on stream 0", head(1, get()[:7], END_STREAM) + frame(CONTINUATION, END_HEADERS, 0, get()[7:]), connection(PROTOCOL)),
    ("6.10 CONTINUATION of another stream", head(1, get()[:7], END_STREAM) + frame(CONTINUATION, END_HEADERS, 3, get()[7:]), connection(PROTOCOL)),
    ("6.10 CONTINUATION behind DATA", post() + frame(DATA, END_STREAM, 1, b"x") + frame(CONTINUATION, END_HEADERS, 1), connection(PROTOCOL)),
    ("8.1 HEADERS in the middle without END_STREAM", post() + head(1, lit("x-t", "1"), END_HEADERS), stream(1, PROTOCOL)),
    ("8.1 trailers", post() + frame(DATA, 0, 1, b"x") + head(1, lit("x-t", "1")), answered(1)),
    ("8.1.1 less content than declared", post(1, ("content-length", "3")) + frame(DATA, END_STREAM, 1, b"xy"), stream(1, PROTOCOL)),
    ("8.1.1 more content than declared", post(1, ("content-length", "1")) + frame(DATA, END_STREAM, 1, b"xy"), stream(1, PROTOCOL)),
    ("8.1.1 content declared, none sent", head(1, get("/", ("content-length", "1"), method="POST")), stream(1, PROTOCOL)),
    ("8.1.1 two lengths", head(1, get("/", ("content-length", "0"), ("content-length", "0"), method="POST")), stream(1, PROTOCOL)),
    ("8.2.1 an uppercase name", head(1, get("/", ("X-Test", "1"))), stream(1, PROTOCOL)),
    ("8.2.1 a space in a name", head(1, get("/", ("x test", "1"))), stream(1, PROTOCOL)),
    ("8.2.1 a line end in a value", head(1, get("/", ("x", "a\r\nb: c"))), stream(1, PROTOCOL)),
    ("8.2.1 NUL in a value", head(1, get("/", ("x", "a\0b"))), stream(1, PROTOCOL)),
    ("8.2.1 a blank before a value", head(1, get("/", ("x", " a"))), stream(1, PROTOCOL)),
    ("8.2.2 connection", head(1, get("/", ("connection", "keep-alive"))), stream(1, PROTOCOL)),
    ("8.2.2 transfer-encoding", head(1, get("/", ("transfer-encoding", "chunked"))), stream(1, PROTOCOL)),
    ("8.2.2 te other than trailers", head(1, get("/", ("te", "trailers, deflate"))), stream(1, PROTOCOL)),
    ("8.2.2 te: trailers", head(1, get("/", ("te", "trailers"))), answered(1)),
    ("8.3 an unknown pseudo-field", head(1, get() + lit(":test", "1")), stream(1, PROTOCOL)),
    ("8.3 a response's pseudo-field", head(1, get() + lit(":status", "200")), stream(1, PROTOCOL)),
    ("8.3 a pseudo-field among trailers", post() + head(1, lit(":method", "GET")), stream(1, PROTOCOL)),
    ("8.3 a pseudo-field behind a regular one", head(1, lit("x", "1") + get()), stream(1, PROTOCOL)),
    ("8.3.1 an empty :path", head(1, get("")), stream(1, PROTOCOL)),
    ("8.3.1 no :method", head(1, lit(":scheme", "http") + lit(":path", "/") + lit(":authority", "a")), stream(1, PROTOCOL)),
    ("8.3.1 no :scheme", head(1, lit(":method", "GET") + lit(":path", "/") + lit(":authority", "a")), stream(1, PROTOCOL)),
    ("8.3.1 no :path", head(1, lit(":method", "GET") + lit(":scheme", "http") + lit(":authority", "a")), stream(1, PROTOCOL)),
    ("8.3.1 :method twice", head(1, lit(":method", "GET") + get()), stream(1, PROTOCOL)),
    ("8.3.1 :path twice", head(1, lit(":path", "/") + get()), stream(1, PROTOCOL)),
    ("8.3.1 a path that is no path", head(1, get("x")), stream(1, PROTOCOL)),
    ("8.3.1 * with GET", head(1, get("*")), stream(1, PROTOCOL)),
    ("8.3.1 user information in :authority", head(1, get(authority="u@a")), stream(1, PROTOCOL)),
    ("8.3.1 host differs from :authority", head(1, get("/", ("host", "b"))), stream(1, PROTOCOL)),
    ("8.5 CONNECT with :path", head(1, lit(":method", "CONNECT") + lit(":path", "/") + lit(":authority", "a:1"), END_HEADERS), stream(1, PROTOCOL)),
    ("8.5 CONNECT with :scheme", head(1, lit(":method", "CONNECT") + lit(":scheme", "http") + lit(":authority", "a:1"), END_HEADERS), stream(1, PROTOCOL)),
    ("RFC 8441 :protocol without the setting", head(1, get(method="CONNECT") + lit(":protocol", "websocket"), END_HEADERS), stream(1, PROTOCOL)),
    ("RFC 8441 :protocol without CONNECT", head(1, get() + lit(":protocol", "websocket")), stream(1, PROTOCOL)),
    ("RFC 7541 2.3.3 an index beyond the tables", head(1, get() + b"\xff\x00"), connection(COMPRESSION)),
    ("RFC 7541 6.1 index 0", head(1, b"\x80" + get()), connection(COMPRESSION)),
    ("RFC 7541 4.2 a table size update at the end", head(1, get() + b"\x21"), connection(COMPRESSION)),
    ("RFC 7541 4.2 table size updates at the front", head(1, b"\x20\x3f\xe1\x1f" + get()), answered(1)),
    ("RFC 7541 6.3 a table above the limit", head(1, b"\x3f\xe2\x1f" + get()), connection(COMPRESSION)),
    ("RFC 7541 5.2 Huffman padding of ones too long", head(1, get() + b"\0\x01x\x82\x1f\xff\xff"[:6]), connection(COMPRESSION)),
    ("RFC 7541 5.2 Huffman padding of zeroes", head(1, get() + b"\0\x01x\x81\x18"), connection(COMPRESSION)),
    ("RFC 7541 5.2 the end of string coded", head(1, get() + b"\0\x01x\x84\xff\xff\xff\xff"), connection(COMPRESSION)),
    ("10.5 PING flood", frame(PING, 0, 0, b"12345678") * 1001, connection(CALM)),
    ("10.5 SETTINGS flood", frame(SETTINGS) * 1001, connection(CALM)),
    ("10.5 empty DATA without end", post() + frame(DATA, 0, 1) * 20, connection(CALM)),
    ("10.5 CONTINUATION without end", head(1, get(), END_STREAM) + frame(CONTINUATION, 0, 1, lit("x", "y")) * 1000, connection(CALM)),
    ("10.5 rapid reset", b"".join(head(n, get(method="POST"), END_HEADERS) + frame(RST, 0, n, word(CANCEL)) for n in range(1, 1200, 2)), connection(CALM)),
    ("10.5 resets provoked by us", b"".join(post(n) + frame(WINDOW, 0, n, word(0)) for n in range(1, 1200, 2)), connection(CALM)),
    ("10.5 a block that decodes to too much", head(1, get() + b"\x40\x01x\x7f\x81\x1e" + b"y" * 3968 + b"\xbe" * 200), answered(1)),
]

# Where nghttp2 reacts in another way, and why both are right (or why ours is wanted).
DIFFERS = {
    "5.1.1 a number that goes down": "nghttp2 takes the stream for a closed one and drops its HEADERS",
    "6.9.2 a window made too large by SETTINGS": "nghttp2 ends the stream; the RFC wants the end of the connection",
    "8.3.1 user information in :authority": "nghttp2 leaves it to the program",
    "8.3.1 host differs from :authority": "nghttp2 leaves it to the program",
    "10.5 PING flood": "nghttp2 bounds only the answers that nobody reads",
    "10.5 SETTINGS flood": "nghttp2 bounds only the answers that nobody reads",
    "10.5 empty DATA without end": "nghttp2 1.52 has no bound",
    "10.5 rapid reset": "nghttp2 1.52 has no bound",
    "10.5 a block that decodes to too much": "nghttp2 resets the stream, Weft answers 431",
}


def matches(seen, expected, strict):
    kind = expected[0]
    if kind == "connection":
        # Who only closes has told less, and is as safe.
        return seen.goaway in expected[1] or (not strict and seen.kind() == "connection")
    if kind == "stream":
        if expected[1] in seen.resets and seen.goaway is None:
            return not strict or seen.resets[expected[1]] in expected[2]
        return not strict and seen.kind() == "connection"
    if kind == "response":
        return all(number in seen.heads for number in expected[1]) and seen.kind() == "response"
    return seen.kind() == "quiet"


def main():
    lab.need("nghttpd")
    with lab.Lab() as world:
        front, back, reference, admin = lab.free_ports(4)
        www = world.directory / "www"
        www.mkdir()
        (www / "index.html").write_text("hello")
        world.start("nghttp2", "nghttpd", "--no-tls", "-d", www, reference, port=reference)
        # Ours answers GET itself; what has content goes to nghttp2, so that it is open while the rest of a case arrives.
        answer = {"name": "r", "virtual_hosts": [{"name": "a", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "hello"}}}]}]}
        forward = {"match": {"prefix": "/", "headers": [{"name": ":method", "string_match": {"exact": "POST"}}]}, "route": {"cluster": "back"}}
        answer["virtual_hosts"][0]["routes"].insert(0, forward)
        world.start("upstream", "nghttpd", "--no-tls", "-d", www, back, port=back)
        world.proxy(lab.bootstrap([lab.listener(front, answer, codec_type="HTTP2")], [lab.cluster("back", back, http2=True)], admin), front)
        wrong, differences, seen_differences = [], 0, set()
        for name, data, expected, *rest in CASES:
            options = dict(rest[0]) if rest else {}
            streams = expected[1] if expected[0] == "response" else ()
            ours = play(front, data, answers=streams, **options)
            theirs = play(reference, data, answers=streams, **options)
            if not matches(ours, expected, strict=True):
                wrong.append(f"{name}: expected {expected}, got {ours}")
            if not matches(theirs, expected, strict=False):
                differences += 1
                seen_differences.add(name)
                if name not in DIFFERS:
                    wrong.append(f"{name}: nghttp2 differs: expected {expected}, it did {theirs}")
        # The proxy is as well as before.
        assert play(front, head(), answers=(1,)).kind() == "response"
        for name in set(DIFFERS) - seen_differences:
            print(f"this nghttp2 no longer differs: {name}")
        assert not wrong, "\n".join(wrong)
        print(f"{len(CASES)} cases, {len(CASES) - differences} like nghttp2, {differences} listed differences")


main()
