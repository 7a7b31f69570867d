"""Honest servers, and users who must never notice that others misbehave. They run in a process of their own, so that they are on time.

A request names its answer: `/good-h1/<number>/<size>` is answered with `size` bytes that follow from the number. The servers complain of anything
that is not a whole message by the book: what a hostile client sends must not reach them in another form."""
import asyncio, faulthandler, pathlib, re, signal, ssl, struct, sys, time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "Differential"))
import h2

LATEST_SECONDS = 15
START = re.compile(rb"[A-Z]+ (/[!-~]*|\*|[!-~]+:[0-9]+) HTTP/1\.1$")
FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[ \t]*[\t\x20-\x7e\x80-\xff]*$")


def content(path):
    words = path.split("?")[0].split("/")
    try:
        number, size = int(words[2]), min(int(words[3]), 4_000_000)
    except (IndexError, ValueError):
        number, size = 0, 2
    word = b"%d." % number
    return (word * (size // len(word) + 1))[:size]


class Honest:
    """Answers on both ports; `wrong` collects what no well-behaved peer would have sent."""

    def __init__(self):
        self.wrong, self.served = [], 0

    async def http1(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                start, *lines = head[:-4].split(b"\r\n")
                fields = [line.partition(b":") for line in lines]
                names = [n.lower() for n, _, _ in fields]
                if not START.match(start) or not all(FIELD.match(line) for line in lines) or names.count(b"host") != 1:
                    self.wrong.append(f"an honest HTTP/1 server was sent {head!r}")
                    return
                found = {n.lower(): v.strip() for n, _, v in fields}
                if b"content-length" in found and b"transfer-encoding" in found:
                    self.wrong.append(f"an honest HTTP/1 server was sent two lengths: {head!r}")
                if found.get(b"transfer-encoding") == b"chunked":
                    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
                        await reader.readexactly(size + 2)
                    while await reader.readuntil(b"\r\n") != b"\r\n":
                        pass
                else:
                    await reader.readexactly(int(found.get(b"content-length", 0)))
                self.served += 1
                method, path = start.split(b" ")[:2]
                body = content(path.decode("latin-1"))
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + (b"" if method == b"HEAD" else body))
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        except (ValueError, asyncio.LimitOverrunError) as error:
            self.wrong.append(f"an honest HTTP/1 server cannot read what it was sent: {error}")
        finally:
            writer.close()

    async def http2(self, reader, writer):
        connection = Sender(reader, writer)
        try:
            if await reader.readexactly(24) != h2.PREFACE:
                self.wrong.append("an honest HTTP/2 server was not greeted")
                return
            await connection.run(self.answer)
        except (asyncio.IncompleteReadError, OSError):
            pass
        except Exception as error:
            self.wrong.append(f"an honest HTTP/2 server cannot read what it was sent: {error!r}")
        finally:
            writer.close()

    def answer(self, connection, number, fields):
        self.served += 1
        found = dict(fields)
        if not {":method", ":path", ":scheme"} <= set(found) or any(n != n.lower() or n in ("connection", "transfer-encoding", "upgrade") for n in found):
            self.wrong.append(f"an honest HTTP/2 server was sent {fields}")
        body = b"" if found.get(":method") == "HEAD" else content(found.get(":path", "/"))
        connection.head(number, [(":status", "200")], not body)
        if body:
            connection.body(number, body)


class Sender:
    """The honest end of an HTTP/2 connection: respects windows, gives credit, knows streams. Serves and asks."""

    def __init__(self, reader, writer, client=False):
        self.reader, self.writer, self.heads, self.client = reader, writer, h2.HeadReader(), client
        self.window, self.initial, self.windows, self.pending = 65535, 65535, {}, {}
        self.heads_seen, self.bodies, self.done, self.next, self.closing = {}, {}, {}, 1, False
        writer.write((h2.PREFACE if client else b"") + h2.settings({1: 0, 4: 1 << 20}) + h2.frame(h2.WINDOW, 0, 0, struct.pack(">I", 1 << 24)))

    def head(self, number, fields, end):
        if not end or self.client:
            self.windows[number] = self.initial
        self.writer.write(h2.frame(h2.HEADERS, h2.END_HEADERS | (h2.END_STREAM if end else 0), number, h2.pack_head(fields)))

    def body(self, number, data):
        self.pending[number] = memoryview(data)
        self.pump()

    def pump(self):
        for number in list(self.pending):
            while (data := self.pending.get(number)) is not None:
                n = min(len(data), 16384, self.window, self.windows.get(number, 0))
                if n <= 0:
                    break
                self.window -= n
                self.windows[number] -= n
                self.writer.write(h2.frame(h2.DATA, h2.END_STREAM if n == len(data) else 0, number, bytes(data[:n])))
                if n == len(data):
                    del self.pending[number]
                    if not self.client:
                        del self.windows[number]
                else:
                    self.pending[number] = data[n:]

    async def run(self, answer=None):
        block, block_stream, ends = b"", 0, False
        while True:
            head = await self.reader.readexactly(9)
            kind, flags, number = head[3], head[4], int.from_bytes(head[5:], "big") & 0x7FFFFFFF
            payload = await self.reader.readexactly(int.from_bytes(head[:3], "big"))
            if kind == h2.SETTINGS and not flags & h2.ACK:
                for i in range(0, len(payload), 6):
                    name, value = struct.unpack(">HI", payload[i:i + 6])
                    if name == 4:
                        for stream in self.windows:
                            self.windows[stream] += value - self.initial
                        self.initial = value
                self.writer.write(h2.frame(h2.SETTINGS, h2.ACK, 0))
                self.pump()
            elif kind == h2.PING and not flags & h2.ACK:
                self.writer.write(h2.frame(h2.PING, h2.ACK, 0, payload))
            elif kind == h2.WINDOW:
                if number:
                    if number in self.windows:
                        self.windows[number] += int.from_bytes(payload, "big")
                else:
                    self.window += int.from_bytes(payload, "big")
                self.pump()
            elif kind == h2.RST:
                self.pending.pop(number, None)
                self.windows.pop(number, None)
                self.finish(number, f"reset {payload!r}")
            elif kind == h2.GOAWAY:
                self.closing = True
            elif kind in (h2.HEADERS, h2.CONTINUATION):
                block = payload if kind == h2.HEADERS else block + payload
                block_stream, ends = number, flags & h2.END_STREAM if kind == h2.HEADERS else ends
                if flags & h2.END_HEADERS:
                    fields = self.heads.read(block)
                    if number not in self.heads_seen:
                        self.heads_seen[number] = fields
                        if answer:
                            answer(self, number, fields)
                            self.heads_seen = {number: fields} if len(self.heads_seen) > 5000 else self.heads_seen
                    if ends:
                        self.finish(number, None)
            elif kind == h2.DATA:
                if payload:
                    credit = struct.pack(">I", len(payload))
                    self.writer.write(h2.frame(h2.WINDOW, 0, 0, credit) + (h2.frame(h2.WINDOW, 0, number, credit) if not flags & h2.END_STREAM else b""))
                if self.client:
                    self.bodies[number] = self.bodies.get(number, b"") + payload
                if flags & h2.END_STREAM:
                    self.finish(number, None)
            await self.writer.drain()

    def finish(self, number, trouble):
        future = self.done.pop(number, None)
        if future and not future.done():
            future.set_result(trouble)

    async def get(self, path):
        number, self.next = self.next, self.next + 2
        self.done[number] = asyncio.get_running_loop().create_future()
        self.head(number, [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", path)], True)
        trouble = await self.done[number]
        head, body = dict(self.heads_seen.pop(number, [])), self.bodies.pop(number, b"")
        self.windows.pop(number, None)
        return head.get(":status") if trouble is None else trouble, body


class Users:
    """Four users (either version, plain and TLS) who ask for both servers' answers, one after the other, on connections that are to live on."""

    def __init__(self, ports):
        self.ports, self.asked, self.wrong, self.slowest, self.connections = ports, 0, [], 0.0, 0

    async def run(self, version, port, tls):
        name = f"HTTP/{version} {'TLS' if tls else 'plain'}"
        count = 0
        context = None
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_alpn_protocols(["h2" if version == 2 else "http/1.1"])
        while True:
            self.connections += 1
            writer, task, done = None, None, None
            try:
                reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port, ssl=context), LATEST_SECONDS)
                if version == 2:
                    sender = Sender(reader, writer, client=True)
                    task = asyncio.ensure_future(sender.run())
                while True:
                    count += 1
                    size = (2, 500, 20_000, 150_000)[count % 4]
                    path = f"/good-h{1 + count % 2}/{count}/{size}"
                    started = time.monotonic()
                    if version == 2:
                        done = asyncio.ensure_future(sender.get(path))
                        await asyncio.wait({done, task}, timeout=LATEST_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                        if not done.done():
                            task.result() if task.done() else None
                            raise TimeoutError
                        status, body = done.result()
                    else:
                        status, body = await asyncio.wait_for(self.http1(reader, writer, path), LATEST_SECONDS)
                    self.slowest = max(self.slowest, time.monotonic() - started)
                    self.asked += 1
                    if status != "200" or body != content(path):
                        self.wrong.append(f"{name} {path}: {status}, {len(body)} bytes, begins {body[:60]!r}")
                    await asyncio.sleep(0.03)
            except TimeoutError:
                self.wrong.append(f"{name}: no answer within {LATEST_SECONDS} s")
            except (OSError, asyncio.IncompleteReadError) as error:
                self.wrong.append(f"{name}: its connection ended: {error!r}")
                await asyncio.sleep(0.1)
            finally:
                for pending in (task, done):
                    if pending:
                        pending.cancel()
                if writer:
                    writer.close()

    async def http1(self, reader, writer, path):
        writer.write(b"GET %s HTTP/1.1\r\nhost: a\r\n\r\n" % path.encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        if length := re.search(r"content-length: (\d+)", head):
            return head.split(" ")[1], await reader.readexactly(int(length[1]))
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
        return head.split(" ")[1], body


async def live(sockets, ports, commands):
    """Serves until the pipe ends; between `begin` and `end`, which answers with what was seen, the users ask."""
    honest = Honest()
    servers = [await asyncio.start_server(honest.http1, sock=sockets["h1"], limit=1 << 20), await asyncio.start_server(honest.http2, sock=sockets["h2"])]
    loop, tasks, users = asyncio.get_running_loop(), [], None
    while True:
        command = await loop.run_in_executor(None, commands.recv)
        if command == "begin":
            users = Users(ports)
            tasks = [asyncio.ensure_future(users.run(version, port, tls)) for version in (1, 2) for port, tls in ((ports["plain"], False), (ports["tls"], True))]
        elif command == "end":
            while tasks:  # more than once: wait_for may swallow it
                for task in tasks:
                    task.cancel()
                tasks = list((await asyncio.wait(tasks, timeout=1))[1])
            commands.send({"asked": users.asked, "slowest": users.slowest, "wrong": users.wrong + honest.wrong, "served": honest.served})
            honest.wrong = []
        else:
            for server in servers:
                server.close()
            return


def main(sockets, ports, commands):
    faulthandler.register(signal.SIGUSR1)  # where it is, for whoever finds it stuck
    asyncio.run(live(sockets, ports, commands))
