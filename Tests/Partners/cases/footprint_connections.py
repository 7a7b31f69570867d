#!/usr/bin/env python3
"""What an idle connection keeps of weft-proxy's memory: 1,500 clients of one kind come at once, are answered, and stay. Limits are what was measured, and a
little more; the goals are in docs/design/0006-doors.md."""
import concurrent.futures, resource, socket, ssl, time
import lab

lab.need(lab.BIN / "weft-proxy", "openssl")
COUNT, WARM = 1500, 200
# Bytes a connection. The TLS library's own object is 14,400 of its.
LIMITS = {"HTTP/1.1": 800, "HTTP/2": 2700, "TLS": 16000}
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))


def literal(name, value):
    return b"\x40" + bytes([len(name)]) + name + bytes([len(value)]) + value


FIELDS = b"\x82\x84\x86\x41\x09localhost" + literal(b"user-agent", b"some client/1.0") + literal(b"x-own", b"v" * 30)
REQUEST = {
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0" + len(FIELDS).to_bytes(3, "big") + b"\1\5\0\0\0\1" + FIELDS,
    "HTTP/1.1": b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n",
}
REQUEST["TLS"] = REQUEST["HTTP/1.1"]
context = ssl._create_unverified_context()


def client(kind, port):
    connection = socket.create_connection(("127.0.0.1", port), 20)
    if kind == "TLS":
        connection = context.wrap_socket(connection)
    connection.sendall(REQUEST[kind])
    seen = b""
    while b"hello" not in seen:
        more = connection.recv(4096)
        assert more, f"{kind}: ended after {seen!r}"
        seen += more
    if kind == "HTTP/2":
        connection.sendall(b"\0\0\0\4\1\0\0\0\0")
    return connection


def kilobytes(process):
    """What is its own: pages of the program that are read in meanwhile are no connection's."""
    return next(int(line.split()[1]) for line in open(f"/proc/{process.pid}/status") if line.startswith("RssAnon"))


answer = {"name": "routes", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
    {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "hello"}}}]}]}


def measure(kind):
    with lab.Lab() as mesh:
        _, certificate, key = mesh.certificates()
        port, = lab.free_ports(1)
        process = mesh.proxy(lab.bootstrap([lab.listener(port, answer, tls=(certificate, key) if kind == "TLS" else None)], []), port)
        held = [client(kind, port) for _ in range(WARM)]
        # What a connection needs only while it is busy is given back after some seconds.
        time.sleep(6)
        before = kilobytes(process)
        held += [client(kind, port) for _ in range(COUNT)]
        time.sleep(6)
        return (kilobytes(process) - before) * 1024 // COUNT


# Each kind has a proxy of its own; most of the time all of them wait.
with concurrent.futures.ThreadPoolExecutor(len(LIMITS)) as pool:
    found = dict(zip(LIMITS, pool.map(measure, LIMITS)))
for kind, each in found.items():
    assert each <= LIMITS[kind], f"an idle {kind} connection keeps {each} bytes, more than {LIMITS[kind]}"
print("bytes an idle connection: " + ", ".join(f"{kind} {each}" for kind, each in found.items()))
