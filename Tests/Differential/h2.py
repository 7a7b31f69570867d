"""As much of HTTP/2 (RFC 9113, RFC 7541) as the differential cases need, for both ends: heads without compression, frames as they come.
It checks nothing: what a peer does wrong shows in what the case compares."""
import asyncio, struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITISED = 1, 1, 4, 8, 32
ERRORS = ("NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED FRAME_SIZE_ERROR REFUSED_STREAM CANCEL "
          "COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM INADEQUATE_SECURITY HTTP_1_1_REQUIRED").split()
TABLE_SIZE, ENABLE_PUSH, MAX_STREAMS, WINDOW_SIZE, FRAME_SIZE, HEAD_SIZE, CONNECT_PROTOCOL = 1, 2, 3, 4, 5, 6, 8

STATIC = [("", "")] + [tuple(entry.partition("=")[::2]) for entry in (
    ":authority;:method=GET;:method=POST;:path=/;:path=/index.html;:scheme=http;:scheme=https;:status=200;:status=204;:status=206;"
    ":status=304;:status=400;:status=404;:status=500;accept-charset;accept-encoding=gzip, deflate;accept-language;accept-ranges;accept;"
    "access-control-allow-origin;age;allow;authorization;cache-control;content-disposition;content-encoding;content-language;"
    "content-length;content-location;content-range;content-type;cookie;date;etag;expect;expires;from;host;if-match;if-modified-since;"
    "if-none-match;if-range;if-unmodified-since;last-modified;link;location;max-forwards;proxy-authenticate;proxy-authorization;range;"
    "referer;refresh;retry-after;server;set-cookie;strict-transport-security;transfer-encoding;user-agent;vary;via;www-authenticate"
).split(";")]


def huffman_codes():
    """(length, code) -> symbol. The code of RFC 7541 is canonical: the symbols of each length, in order, say all. Only what header
    fields of the cases hold is here."""
    by_length = {5: "012aceiost", 6: " %-./3456789=A_bdfghlmnpru", 7: ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz", 8: "&*,;XZ", 10: "!\"()?",
                 11: "'+|", 12: "#>", 13: "\0$@[]~", 14: "^}", 15: "<`{", 19: "\\"}
    codes, code, length = {}, 0, 0
    for next_length, symbols in by_length.items():
        code <<= next_length - length
        length = next_length
        for symbol in sorted(symbols):
            codes[length, code] = symbol
            code += 1
    return codes


HUFFMAN = huffman_codes()


def unpack_text(data, huffman):
    if not huffman:
        return data.decode("latin-1")
    text, code, length = "", 0, 0
    for byte in data:
        for bit in range(7, -1, -1):
            code, length = code << 1 | byte >> bit & 1, length + 1
            if (length, code) in HUFFMAN:
                text += HUFFMAN[length, code]
                code = length = 0
    return text


class HeadReader:
    """Decodes header blocks. The peer is told to keep no table, but may index until it has heard so."""

    def __init__(self):
        self.table = []

    def read(self, block):
        self.data, self.at, fields = block, 0, []
        while self.at < len(block):
            kind = block[self.at]
            if kind & 0x80:
                fields.append(self.entry(self.number(7)))
            elif kind & 0xE0 == 0x20:
                self.number(5)
            else:
                index = self.number(6 if kind & 0x40 else 4)
                name = self.entry(index)[0] if index else self.text()
                field = (name, self.text())
                fields.append(field)
                if kind & 0x40:
                    self.table.insert(0, field)
        return fields

    def entry(self, index):
        return STATIC[index] if index < len(STATIC) else self.table[index - len(STATIC)]

    def number(self, bits):
        top = (1 << bits) - 1
        value, shift = self.data[self.at] & top, 0
        self.at += 1
        while value >= top and (shift == 0 or self.data[self.at - 1] & 0x80):
            value += (self.data[self.at] & 0x7F) << shift
            shift += 7
            self.at += 1
        return value

    def text(self):
        huffman = self.data[self.at] & 0x80
        count = self.number(7)
        self.at += count
        return unpack_text(self.data[self.at - count:self.at], huffman)


def pack_number(value, bits, kind):
    top = (1 << bits) - 1
    if value < top:
        return bytes([kind | value])
    out, value = [kind | top], value - top
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + [value])


def pack_head(fields):
    out = b""
    for field in fields:
        out += b"\0"
        for text in field:
            raw = text.encode("latin-1")
            out += pack_number(len(raw), 7, 0) + raw
    return out


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def settings(values):
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", number, value) for number, value in values.items()))


class Stream:
    """What the other side has said on one stream."""

    def __init__(self):
        self.heads, self.data, self.ended, self.reset = [], b"", False, None


class Connection:
    """One end of a connection. `changed` is set whenever something has come."""

    def __init__(self, reader, writer, server, window=1 << 20):
        self.reader, self.writer, self.window = reader, writer, window
        self.heads, self.streams, self.goaway, self.closed, self.block = HeadReader(), {}, None, False, b""
        self.changed = asyncio.Event()
        own = {TABLE_SIZE: 0, WINDOW_SIZE: window} | ({CONNECT_PROTOCOL: 1} if server else {ENABLE_PUSH: 0})
        writer.write((b"" if server else PREFACE) + settings(own) + frame(WINDOW, 0, 0, struct.pack(">I", 1 << 24)))

    async def read(self, on_frame=None):
        """Takes what comes until the connection ends."""
        try:
            while True:
                head = await self.reader.readexactly(9)
                kind, flags, stream = head[3], head[4], struct.unpack(">I", head[5:])[0] & 0x7FFFFFFF
                payload = await self.reader.readexactly(int.from_bytes(head[:3], "big"))
                self.take(kind, flags, stream, payload)
                if on_frame:
                    on_frame(kind, stream)
                self.changed.set()
        except (asyncio.IncompleteReadError, OSError):
            self.closed = True
            self.changed.set()

    def take(self, kind, flags, number, payload):
        if kind == SETTINGS and not flags & ACK:
            self.writer.write(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self.writer.write(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            self.goaway = ERRORS[struct.unpack(">I", payload[4:8])[0]]
        elif kind == RST:
            self.stream(number).reset = ERRORS[struct.unpack(">I", payload)[0]]
        elif kind in (HEADERS, CONTINUATION):
            if kind == HEADERS:
                if flags & PADDED:
                    payload = payload[1:len(payload) - payload[0]]
                self.block = payload[5:] if flags & PRIORITISED else payload
                self.ends = flags & END_STREAM
            else:
                self.block += payload
            if flags & END_HEADERS:
                stream = self.stream(number)
                stream.heads.append(self.heads.read(self.block))
                stream.ended |= bool(self.ends)
        elif kind == DATA:
            if flags & PADDED:
                payload = payload[1:len(payload) - payload[0]]
            stream = self.stream(number)
            stream.data += payload
            stream.ended |= bool(flags & END_STREAM)

    def stream(self, number):
        return self.streams.setdefault(number, Stream())

    def send_head(self, number, fields, end, pieces=1, padding=None, priority=False):
        """A head, in this many frames, the first of which may be padded, and have a priority."""
        block = pack_head(fields)
        size = -(-len(block) // pieces)
        first, *rest = [block[at:at + size] for at in range(0, len(block), size)]
        flags = (END_STREAM if end else 0) | (0 if rest else END_HEADERS)
        if priority:
            first, flags = struct.pack(">IB", 0, 15) + first, flags | PRIORITISED
        if padding is not None:
            first, flags = bytes([padding]) + first + bytes(padding), flags | PADDED
        self.writer.write(frame(HEADERS, flags, number, first))
        for at, piece in enumerate(rest, 1):
            self.writer.write(frame(CONTINUATION, END_HEADERS if at == len(rest) else 0, number, piece))

    def send_window(self, number, more):
        self.writer.write(frame(WINDOW, 0, number, struct.pack(">I", more)))

    def send_goaway(self, last, error):
        self.writer.write(frame(GOAWAY, 0, 0, struct.pack(">iI", max(last, 0), ERRORS.index(error))))

    def send_data(self, number, data, end, padding=None):
        if padding is not None:
            self.writer.write(frame(DATA, PADDED | (END_STREAM if end else 0), number, bytes([padding]) + data + bytes(padding)))
            return
        for start in range(0, max(1, len(data)), 16384):
            piece = data[start:start + 16384]
            last = end and start + 16384 >= len(data)
            self.writer.write(frame(DATA, END_STREAM if last else 0, number, piece))

    def send_reset(self, number, error):
        self.writer.write(frame(RST, 0, number, struct.pack(">I", ERRORS.index(error))))

    async def until(self, condition, seconds):
        """Waits until `condition()` holds, or the connection ends, or the time is over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not condition() and not self.closed and loop.time() < deadline:
            self.changed.clear()
            try:
                await asyncio.wait_for(self.changed.wait(), deadline - loop.time())
            except asyncio.TimeoutError:
                pass
        return condition()
