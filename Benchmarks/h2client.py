"""A bare HTTP/2 client on a blocking socket: as many connections as wanted without a library's weight, and every frame in sight."""
import socket, ssl, struct

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1


class H2Client:
    def __init__(self, port, tls=False, timeout=10):
        raw = socket.create_connection(("127.0.0.1", port), timeout)
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_alpn_protocols(["h2"])
            raw = context.wrap_socket(raw, server_hostname="localhost")
            assert raw.selected_alpn_protocol() == "h2"
        self.socket, self.input, self.next = raw, b"", 1
        self.scheme = b"\x87" if tls else b"\x86"
        raw.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS))

    def send(self, path=b"/"):
        """Sends a GET and returns its stream."""
        stream, self.next = self.next, self.next + 2
        block = b"\x82" + self.scheme + b"\x04" + bytes([len(path)]) + path + b"\x41\x09localhost"
        self.socket.sendall(frame(HEADERS, END_STREAM | END_HEADERS, stream, block))
        return stream

    def receive(self):
        """The next frame as (type, flags, stream, payload); None at the end. Settings and pings are answered."""
        header = self.exactly(9)
        if header is None:
            return None
        length, kind, flags, stream = int.from_bytes(header[:3], "big"), header[3], header[4], int.from_bytes(header[5:], "big")
        payload = self.exactly(length)
        if kind in (SETTINGS, PING) and not flags & ACK:
            self.socket.sendall(frame(kind, ACK, 0, payload if kind == PING else b""))
        return kind, flags, stream, payload

    def finish(self, stream):
        """Reads until `stream` has ended; returns its body."""
        body = b""
        while True:
            got = self.receive()
            assert got is not None, "the connection ended before the response"
            kind, flags, where, payload = got
            if where == stream and kind == DATA:
                body += payload
            assert not (where == stream and kind == RST_STREAM), "the stream was reset"
            if where == stream and kind in (DATA, HEADERS) and flags & END_STREAM:
                return body

    def get(self, path=b"/"):
        return self.finish(self.send(path))

    def exactly(self, count):
        while len(self.input) < count:
            more = self.socket.recv(65536)
            if not more:
                return None
            self.input += more
        taken, self.input = self.input[:count], self.input[count:]
        return taken

    def close(self):
        self.socket.close()


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload
