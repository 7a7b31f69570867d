"""Servers that answer as a case says, and remember what they were sent.

An answer is a status (`503`), one of the words `close`, `reset`, `hang`, `going`, an error of HTTP/2 (`REFUSED_STREAM`: the stream is reset by it), an HTTP/1 message as text (`HTTP/1.1 200 OK …`), or a map of
  status, headers, body, trailers   the response
  framing                           length (default), chunked, close (HTTP/1)
  early                             list of informational statuses sent before it
  delay                             seconds before it
  pieces, pause                     content in frames of their own, with this many seconds before each (HTTP/2)
  echo                              what the request's content is, piece by piece, in place of content (HTTP/2)
  then                              keep (default), close, reset: what becomes of the connection (HTTP/2: of the stream);
                                    HTTP/2 also: going (GOAWAY behind the answer), early (before the request is whole), and a list of frames,
                                    `data TEXT`, `head NAME: VALUE`, `reset ERROR`, `going ERROR`, that follow the answer
  raw                               bytes instead of all that
A list of answers is given one after the other, the last one again and again."""
import asyncio, socket, ssl, struct
import h2


def lines(text):
    """A message as people write it: line feeds become CRLF up to and including the empty line, the content stays."""
    head, blank, body = text.partition("\n\n")
    return (head.replace("\r\n", "\n").replace("\n", "\r\n") + ("\r\n\r\n" if blank else "")).encode("latin-1") + body.encode("latin-1")


def fields(value):
    """Header fields from a map or a list of `name: value` lines or pairs."""
    if not value:
        return []
    if isinstance(value, dict):
        out = []
        for name, one in value.items():
            out += [(str(name), str(v)) for v in (one if isinstance(one, list) else [one])]
        return out
    out = []
    for one in value:
        if isinstance(one, str):
            name, _, text = one[1:].partition(":")  # a pseudo-field begins with a colon
            out.append(((one[0] + name).strip(), text.strip()))
        else:
            out.append(tuple(map(str, one)))
    return out


class Answer:
    def __init__(self, form, name):
        self.status, self.headers, self.body, self.trailers, self.framing = 200, [], b"ok", [], "length"
        self.early, self.delay, self.then, self.raw, self.word = [], 0, "keep", None, None
        self.pieces, self.pause, self.echo = [], 0.05, False
        if form is None:
            self.headers = [("x-backend", name)]
        elif isinstance(form, int):
            self.status = form
            self.body = b"" if form in (204, 304) else b"ok"
        elif isinstance(form, str) and form.startswith("HTTP/"):
            self.raw = lines(form)
        elif isinstance(form, str):
            assert form in ("close", "reset", "hang", "going", *h2.ERRORS), f"no such answer: {form}"
            self.word = form
        else:
            unknown = set(form) - {"status", "headers", "body", "trailers", "framing", "early", "delay", "then", "raw", "pieces", "pause", "echo"}
            assert not unknown, f"no such part of an answer: {unknown}"
            self.status = form.get("status", 200)
            self.headers = fields(form.get("headers"))
            body = form.get("body", "" if self.status in (204, 304) else "ok")
            self.body = (body if isinstance(body, str) else str(body)).encode("latin-1")
            self.trailers = fields(form.get("trailers"))
            self.framing = form.get("framing", "chunked" if self.trailers else "length")
            self.early, self.delay, self.then = form.get("early", []), form.get("delay", 0), form.get("then", "keep")
            self.pieces, self.pause, self.echo = form.get("pieces", []), form.get("pause", 0.05), form.get("echo", False)
            self.raw = form["raw"].encode("latin-1") if "raw" in form else None

    def http1(self, method):
        if self.raw is not None:
            return self.raw
        head = f"HTTP/1.1 {self.status} Status\r\n" + "".join(f"{n}: {v}\r\n" for n, v in self.headers)
        names = {n.lower() for n, _ in self.headers}
        bodiless = self.status in (204, 304) or self.status < 200
        early = "".join(f"HTTP/1.1 {status} Early\r\n\r\n" for status in self.early)
        if self.framing == "chunked":
            body = (b"%x\r\n%s\r\n" % (len(self.body), self.body) if self.body else b"")
            body += b"0\r\n" + "".join(f"{n}: {v}\r\n" for n, v in self.trailers).encode("latin-1") + b"\r\n"
            head += "transfer-encoding: chunked\r\n"
        else:
            body = self.body
            if self.framing == "length" and not bodiless and "content-length" not in names:
                head += f"content-length: {len(body)}\r\n"
        return (early + head + "\r\n").encode("latin-1") + (b"" if method == "HEAD" else body)


def cut(writer):
    """Ends a connection with RST."""
    sock = writer.get_extra_info("socket")
    if sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def proxy_header(reader):
    """A PROXY protocol header as text."""
    first = await reader.readexactly(12)
    if first != b"\r\n\r\n\0\r\nQUIT\n":
        return (first + await reader.readuntil(b"\r\n")).decode("latin-1").strip()
    kind, family, size = struct.unpack("!BBH", await reader.readexactly(4))
    body = await reader.readexactly(size)
    if kind == 0x20:
        return f"v2 LOCAL {family:#x} {body.hex()}"
    width = 4 if family == 0x11 else 16
    form = socket.AF_INET if width == 4 else socket.AF_INET6
    source, target = (socket.inet_ntop(form, body[i:i + width]) for i in (0, width))
    ports = struct.unpack("!HH", body[2 * width:2 * width + 4])
    return f"v2 PROXY {family:#x} {source} {target} {ports[0]} {ports[1]} {body[2 * width + 4:].hex()}"


class Backend:
    """One endpoint. *kind*: http1, http2, tcp, none (the port refuses); with `tls`, a directory that holds a certificate.
    `proxy`: a PROXY protocol header comes first, and is shown; `peer`: where connections come from is shown.
    A tcp backend says its `greeting`, echoes unless `echo: false`, and `ends` half (its own side, behind the greeting), close or reset (behind the
    first bytes)."""

    def __init__(self, name, form, certs):
        form = form or {}
        unknown = set(form) - {"kind", "tls", "answer", "answers", "greeting", "echo", "alpn", "ends", "proxy", "peer"}
        assert not unknown, f"no such part of a backend: {unknown}"
        self.name, self.kind, self.form = name, form.get("kind", "http1"), form
        self.tls = certs if form.get("tls") else None
        self.seen, self.tasks, self.openings = [], set(), {}
        self.answers = []
        self.script(None)
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]

    def script(self, answers):
        """What the next requests get; None: what the case says for all."""
        chosen = answers if answers is not None else self.form.get("answers", [self.form.get("answer")])
        self.answers = [Answer(one, self.name) for one in chosen]
        self.seen = []

    def next_answer(self):
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def start(self):
        if self.kind == "none":
            return
        context = None
        if self.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(f"{self.tls}/server.pem", f"{self.tls}/server.key")
            context.set_alpn_protocols(self.form.get("alpn", ["h2"] if self.kind == "http2" else ["http/1.1"]))
        serve = {"http1": self.serve_http1, "http2": self.serve_http2, "tcp": self.serve_tcp}[self.kind]
        begin = None if self.form.get("proxy") else context
        self.server = await asyncio.start_server(
            lambda r, w: self.guard(self.begin(serve, r, w, context), w), sock=self.socket, ssl=begin, backlog=128)

    async def begin(self, serve, reader, writer, context):
        """A connection: who says it is, and what it is about."""
        opening = {}
        if self.form.get("peer"):
            opening["peer"] = writer.get_extra_info("peername")[0]
        if self.form.get("proxy"):
            opening["proxy"] = await proxy_header(reader)
            if context:
                await writer.start_tls(context)
        self.openings[writer] = opening
        await serve(reader, writer)

    def opening(self, writer):
        """What came before the first request of a connection; once."""
        return self.openings.pop(writer, {})

    async def guard(self, work, writer):
        try:
            await work
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError, ssl.SSLError, ValueError):
            pass  # the proxy went away, or said what only a comparison can judge
        finally:
            writer.close()

    # HTTP/1

    async def serve_http1(self, reader, writer):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            line, *rest = head[:-4].split("\r\n")
            headers = fields(rest)
            entry = {"line": line, "headers": headers, "body": b"", "trailers": [], **self.opening(writer)}
            self.seen.append(entry)
            known = {n.lower(): v for n, v in headers}
            answer = self.next_answer()
            reading = asyncio.ensure_future(self.read_content(reader, writer, entry, known))
            if answer.word == "hang":
                await reading
                await reader.read()
                return
            if not answer.raw and not (100 <= answer.status < 200) and answer.then != "early":
                await reading
            if answer.delay:
                await asyncio.sleep(answer.delay)
            if answer.word == "close":
                return
            if answer.word == "reset":
                return cut(writer)
            writer.write(answer.http1(line.split(" ")[0]))
            await writer.drain()
            switches = answer.raw is not None and b" 101 " in answer.raw[:16] or answer.status == 101
            if switches or line.startswith("CONNECT ") and answer.status < 300:
                return await self.echo(reader, writer, entry)
            await reading
            if answer.then == "reset":
                return cut(writer)
            if answer.then == "close" or answer.framing == "close":
                return

    async def read_content(self, reader, writer, entry, known):
        if "chunked" in known.get("transfer-encoding", ""):
            while True:
                size = int((await reader.readline()).split(b";")[0], 16)
                if size == 0:
                    break
                entry["body"] += (await reader.readexactly(size + 2))[:-2]
            while (line := (await reader.readline()).strip()):
                entry["trailers"] += fields([line.decode("latin-1")])
        elif "content-length" in known:
            entry["body"] = await reader.readexactly(int(known["content-length"]))

    async def echo(self, reader, writer, entry):
        while data := await reader.read(65536):
            entry["body"] += data
            writer.write(data)
            await writer.drain()

    # HTTP/2

    async def serve_http2(self, reader, writer):
        await reader.readexactly(len(h2.PREFACE))
        connection = h2.Connection(reader, writer, server=True)
        begun = set()

        def on_frame(kind, number):
            if kind == h2.HEADERS and number not in begun:
                begun.add(number)
                task = asyncio.ensure_future(self.answer_http2(connection, number))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)

        await connection.read(on_frame)

    async def answer_http2(self, connection, number):
        stream = connection.stream(number)
        await connection.until(lambda: stream.heads, 5)
        head = stream.heads[0]
        entry = {"line": "HTTP/2", "headers": head, "body": b"", "trailers": [], **self.opening(connection.writer)}
        self.seen.append(entry)
        answer = self.next_answer()
        connects = (":method", "CONNECT") in head
        if answer.word != "hang" and not connects and answer.then != "early" and not answer.echo:
            await connection.until(lambda: stream.ended or stream.reset, 5)
        entry["body"] = stream.data
        entry["trailers"] = stream.heads[1] if len(stream.heads) > 1 else []
        if answer.delay:
            await asyncio.sleep(answer.delay)
        if answer.word == "hang":
            return
        if answer.word == "close":
            return connection.writer.close()
        if answer.word == "reset":
            return connection.send_reset(number, "INTERNAL_ERROR")
        if answer.word == "going":  # this stream was not worked at
            return connection.send_goaway(number - 2, "NO_ERROR")
        if answer.word:
            return connection.send_reset(number, answer.word)
        for status in answer.early:
            connection.send_head(number, [(":status", str(status))], False)
        if (":method", "HEAD") in head:
            answer.body = b""
        streams = connects and answer.status < 300 or answer.echo
        goes_on = answer.then in ("close", "reset") or isinstance(answer.then, list)
        bare = not answer.body and not answer.trailers and not answer.pieces and not goes_on and not connects and not answer.echo
        connection.send_head(number, [(":status", str(answer.status))] + [(n.lower(), v) for n, v in answer.headers], bare)
        if streams:
            passed = 0
            while not (stream.ended or stream.reset or connection.closed):
                await connection.until(lambda: len(stream.data) > passed or stream.ended or stream.reset, 5)
                piece, passed = stream.data[passed:], len(stream.data)
                entry["body"] = stream.data
                if piece:
                    connection.send_data(number, piece, False)
            if connects or not answer.trailers:
                return connection.send_data(number, b"", True)
            return connection.send_head(number, answer.trailers, True)
        for piece in answer.pieces:
            await asyncio.sleep(answer.pause)
            connection.send_data(number, piece.encode("latin-1"), False)
        ends = not goes_on and not answer.trailers and not bare
        if not answer.pieces and answer.body or ends:
            connection.send_data(number, b"" if answer.pieces else answer.body, ends)
        if answer.trailers:
            connection.send_head(number, answer.trailers, True)
        if answer.then == "reset":
            connection.send_reset(number, "INTERNAL_ERROR")
        if answer.then == "going":
            connection.send_goaway(number, "NO_ERROR")
        for what, _, rest in (one.partition(" ") for one in answer.then if isinstance(answer.then, list)):
            if what == "data":
                connection.send_data(number, rest.encode("latin-1"), False)
            elif what == "head":
                connection.send_head(number, fields([rest]), True)
            elif what == "reset":
                connection.send_reset(number, rest)
            elif what == "going":
                connection.send_goaway(number, rest)
        if answer.then == "close":
            await connection.writer.drain()
            connection.writer.close()

    # Bytes

    async def serve_tcp(self, reader, writer):
        entry = {"line": "TCP", "headers": [], "body": b"", "trailers": [], **self.opening(writer)}
        self.seen.append(entry)
        writer.write(self.form.get("greeting", "").encode("latin-1"))
        ends = self.form.get("ends")
        if ends == "half":
            writer.write_eof()
        while data := await reader.read(65536):
            entry["body"] += data
            if self.form.get("echo", True) and ends != "half":
                writer.write(data)
            if ends in ("close", "reset"):
                await writer.drain()
                return cut(writer) if ends == "reset" else None
        await writer.drain()
