"""The clients of the cases: one request or a script of bytes on a connection of its own, and all that came back.

A result is a dictionary of plain values; two of them are compared field by field."""
import asyncio, socket, ssl
import h2
from backends import cut, fields, lines

LONGEST = 4.0  # seconds for an answer
SETTLE = 0.15  # seconds in which a connection that is going to be closed is closed
CLIENT = "127.0.0.2"  # from 127.0.0.1 itself, Envoy tells upstreams an address of this machine
SILENCE = 0.35  # seconds of silence that end an exchange of bytes


def parse(text, host, body=None):
    """A request as the case writes it: `METHOD TARGET`, fields, an empty line, content. Host and length are added unless given."""
    head, _, content = text.partition("\n\n")
    first, *rest = head.strip("\n").split("\n")
    method, _, target = first.partition(" ")
    headers = fields(rest)
    names = {n.lower() for n, _ in headers}
    if content.endswith("\n") and "transfer-encoding" not in names:
        content = content[:-1]
    content = content.encode("latin-1")
    if content and not names & {"content-length", "transfer-encoding"}:
        headers.append(("Content-Length", str(len(content))))
    return method, target, headers, content, "host" in names


class HTTP1:
    """One HTTP/1 connection."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    def send(self, text, host):
        method, target, headers, content, has_host = parse(text, host)
        target, _, version = target.partition(" HTTP/")
        head = f"{method} {target} HTTP/{version or '1.1'}\r\n" + ("" if has_host else f"Host: {host}\r\n")
        self.writer.write((head + "".join(f"{n}: {v}\r\n" for n, v in headers) + "\r\n").encode("latin-1") + content)
        return method

    async def response(self, method, longest):
        """One response, with the informational ones before it."""
        out = {"early": [], "status": None, "headers": [], "body": b"", "trailers": [], "end": None}
        try:
            await asyncio.wait_for(self.read_response(method, out), longest)
        except asyncio.TimeoutError:
            out["end"] = "silent"
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError, ValueError) as error:
            out["end"] = "cut off" if out["status"] else "closed"
            if isinstance(error, asyncio.IncompleteReadError) and error.partial and not out["status"]:
                out["body"] = error.partial
        return out

    async def read_response(self, method, out):
        while True:
            line, *rest = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")[:-4].split("\r\n")
            status = int(line.split(" ")[1])
            if status >= 200 or status == 101:
                break
            out["early"].append(status)
        out["status"], out["headers"] = status, fields(rest)
        known = {n.lower(): v for n, v in out["headers"]}
        if method == "HEAD" or status in (204, 304, 101) or method == "CONNECT" and status < 300:
            return
        if "chunked" in known.get("transfer-encoding", ""):
            while size := int((await self.reader.readline()).split(b";")[0], 16):
                out["body"] += (await self.reader.readexactly(size + 2))[:-2]
            while line := (await self.reader.readline()).strip():
                out["trailers"] += fields([line.decode("latin-1")])
        elif "content-length" in known:
            out["body"] = await self.reader.readexactly(int(known["content-length"]))
        else:
            out["body"] = await self.reader.read()
            out["end"] = "closed"

    async def ending(self, settle):
        """Whether the connection goes on."""
        try:
            more = await asyncio.wait_for(self.reader.read(65536), settle)
        except asyncio.TimeoutError:
            return "kept"
        except (ConnectionError, ssl.SSLError):
            return "closed"
        return f"more: {more!r}" if more else "closed"


async def bytes_until_silence(reader, longest=LONGEST):
    """What comes until the end, or until nothing comes for a while."""
    data = b""
    try:
        while True:
            piece = await asyncio.wait_for(reader.read(65536), longest if not data else SILENCE)
            if not piece:
                return data, "closed"
            data += piece
    except asyncio.TimeoutError:
        return data, "kept"
    except ConnectionResetError:
        return data, "reset"
    except (ConnectionError, ssl.SSLError):
        return data, "closed"


def tls_context(row, certs, over):
    context = ssl.create_default_context(cafile=f"{certs}/ca.pem")
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    alpn = row.get("alpn", ["h2"] if over == "h2" else None)
    if alpn:
        context.set_alpn_protocols(alpn)
    if row.get("certificate"):
        context.load_cert_chain(f"{certs}/{row['certificate']}.pem", f"{certs}/{row['certificate']}.key")
    return context


async def play(port, row, case, certs):
    """One row of a case against one proxy: a list of results, and the port the client had."""
    own = []
    return await connect(port, row, case, certs, own), (own or [0])[0]


async def connect(port, row, case, certs, own):
    over = row["over"]
    tls = tls_context(row, certs, over) if case.get("tls") else None
    try:
        sock = socket.socket()
        sock.setblocking(False)
        sock.bind((CLIENT, 0))
        own.append(sock.getsockname()[1])
        try:
            await asyncio.wait_for(asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port)), LONGEST)
            reader, writer = await asyncio.open_connection(sock=sock, limit=1 << 22)
        except ConnectionResetError:
            sock.close()
            return [{"body": b"", "end": "closed"}]  # taken, and ended before we could look
        for text in row.get("first", []):  # bytes before TLS: a PROXY header
            writer.write(text.encode("latin-1"))
        if tls:
            await asyncio.wait_for(writer.start_tls(tls, server_hostname=row.get("sni", "a.test")), LONGEST)
    except (OSError, ssl.SSLError, asyncio.TimeoutError) as error:
        return [{"end": "no connection: " + ("TLS" if isinstance(error, ssl.SSLError) else type(error).__name__)}]
    try:
        if "tcp" in row:
            return await play_bytes(reader, writer, row)
        if over == "h2":
            return await play_http2(reader, writer, row)
        return await play_http1(reader, writer, row)
    finally:
        writer.close()


async def play_bytes(reader, writer, row):
    """Bytes there, bytes back; `half` says that the client ends its side first."""
    out, pieces = [], row["tcp"] if isinstance(row["tcp"], list) else [row["tcp"]]
    data, end = b"", "kept"
    try:
        if "" in pieces:
            data, end = await bytes_until_silence(reader)
        for text in (piece for piece in pieces if piece):
            writer.write(text.encode("latin-1"))
            await writer.drain()
            if row.get("half"):
                writer.write_eof()
            piece, end = await bytes_until_silence(reader, row.get("longest", 1.5))
            data += piece
    except (ConnectionError, ssl.SSLError):
        end = "closed"
    return [{"body": data, "end": end}]


async def play_http1(reader, writer, row):
    connection, results = HTTP1(reader, writer), []
    longest = row.get("longest", LONGEST)
    scripts = row["do"] if isinstance(row.get("do"), list) else [row.get("do")]
    for text in scripts:
        if "raw" in row:
            for piece in row["raw"] if isinstance(row["raw"], list) else [row["raw"]]:
                writer.write(piece.encode("latin-1"))
                await asyncio.sleep(0.02 if isinstance(row["raw"], list) else 0)
            method = row["raw"].split(" ")[0].strip() if isinstance(row["raw"], str) else "GET"
        else:
            method = connection.send(text, row.get("host", "a.test"))
        for _ in range(row.get("responses", 1)):
            result = await connection.response(method, longest)
            results.append(result)
        if result["end"]:
            return results
    if result["status"] == 101 or method == "CONNECT" and result["status"] == 200:
        data = b""
        for text in row.get("then", []):
            writer.write(text.encode("latin-1"))
            piece, result["end"] = await bytes_until_silence(reader, 1.0)
            data += piece
        result["body"] = data
        return results
    result["end"] = await connection.ending(row.get("settle", SETTLE))
    return results


async def play_http2(reader, writer, row):
    connection = h2.Connection(reader, writer, server=False, window=row.get("window", 1 << 20))
    reading = asyncio.ensure_future(connection.read())
    results, number = [], 1
    longest = row.get("longest", LONGEST)
    try:
        for text in row["do"] if isinstance(row["do"], list) else [row["do"]]:
            results.append(await exchange(connection, number, text, row, longest))
            number += 2
        await connection.until(lambda: connection.goaway, row.get("settle", SETTLE))
        if connection.closed or connection.goaway:
            results[-1]["end"] = f"{'closed' if connection.closed else 'going'} ({connection.goaway})"
    finally:
        reading.cancel()
    return results


async def exchange(connection, number, text, row, longest):
    method, target, headers, content, has_host = parse(text, row.get("host", "a.test"))
    headers = [(n.lower(), v) for n, v in headers if n.lower() != "content-length" or not content]
    authority = next((v for n, v in headers if n == "host"), row.get("host", "a.test"))
    headers = [(n, v) for n, v in headers if n != "host"]
    own = {n for n, _ in headers if n.startswith(":")}
    pseudo = [(":method", method), (":scheme", row.get("scheme", "https" if connection.writer.get_extra_info("ssl_object") else "http")),
              (":path", target), (":authority", authority)]
    if method == "CONNECT" and ":protocol" not in own:
        pseudo = [(":method", method), (":authority", target)]
    head = [f for f in pseudo if f[0] not in own] + [f for f in headers if f[0].startswith(":")]
    head += [f for f in headers if not f[0].startswith(":")]
    if "head" in row:  # all of it, as it is sent
        head = fields(row["head"])
    trailers = fields(row.get("trailers"))
    tunnel = method == "CONNECT" or "then" in row
    shape = row.get("frames", {})
    connection.send_head(number, head, not content and not trailers and not tunnel and not row.get("open"),
                         shape.get("head", 1), shape.get("padding"), shape.get("priority", False))
    if content:
        connection.send_data(number, content, not trailers and not tunnel and not row.get("open"), shape.get("padding"))
    if trailers:
        connection.send_head(number, trailers, True, shape.get("head", 1), shape.get("padding"))
    stream = connection.stream(number)
    if "cancel" in row:  # the client takes its request back, a moment later
        await connection.until(lambda: stream.ended or stream.reset or row["cancel"] == "head" and stream.heads, 0.2)
        connection.send_reset(number, "CANCEL")
        await asyncio.sleep(0.1)
        heads = [dict(h) for h in stream.heads]
        return {"status": int(heads[0].get(":status", 0)) if heads else None, "body": stream.data, "end": f"reset {stream.reset}" if stream.reset else "taken back"}
    over = lambda: stream.ended or stream.reset or connection.goaway not in (None, "NO_ERROR")
    if tunnel:
        await connection.until(lambda: stream.heads or over(), longest)
        for piece in row.get("then", []):
            before = len(stream.data)
            connection.send_data(number, piece.encode("latin-1"), False)
            await connection.until(lambda: len(stream.data) > before or over(), 1.0)
        if not over():
            connection.send_data(number, b"", True)
            await connection.until(over, 1.0)
    else:
        for more in row.get("widen", []):  # what opens the window, a moment later each
            await connection.until(over, 0.1)
            connection.send_window(number, more)
        await connection.until(over, longest)
    heads = [dict(h) for h in stream.heads]
    early = [int(h[":status"]) for h in heads if h.get(":status", "").startswith("1")]
    final = [h for h in stream.heads if not dict(h).get(":status", "").startswith("1")]
    return {
        "early": early, "status": int(dict(final[0]).get(":status", 0)) if final else None,
        "headers": [f for f in final[0] if f[0] != ":status"] if final else [],
        "body": stream.data, "trailers": final[1] if len(final) > 1 else [],
        # NO_ERROR behind a whole response only says that the rest of the request is not needed.
        "end": f"reset {stream.reset}" if stream.reset and not (stream.ended and stream.reset == "NO_ERROR") else "kept" if stream.ended else "silent"}
