#!/usr/bin/env python3
"""One configuration of `envoy.filters.network.dubbo_proxy` on a stock Envoy and on weft-proxy: every call of a table of them goes to the same server,
or is answered with the same status."""
import socket, struct, threading
import lab

lab.need(lab.ENVOY)
PROXY = "type.googleapis.com/envoy.extensions.filters.network.dubbo_proxy.v3.DubboProxy"


def short(value):
    return bytes([len(value)]) + value.encode()


def request(number, interface, method, version, attachments, flags=0xc2):
    body = b"".join(short(word) for word in ("2.0.2", interface, version, method, "Ljava/lang/String;", "hi")) + b"H"
    for name, value in [("path", interface), ("interface", interface), ("version", version), *attachments]:
        body += short(name) + short(value)
    return struct.pack("!HBBQI", 0xdabb, flags, 0, number, len(body) + 1) + body + b"Z"


def serve(name):
    """Answers every request with `name`; returns the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def talk(connection):
        stream = connection.makefile("rb")
        while len(head := stream.read(16)) == 16:
            _, flags, _, number, length = struct.unpack("!HBBQI", head)
            stream.read(length)
            if flags & 0x60 == 0x40:
                body = b"\x91" + short(name)
                connection.sendall(struct.pack("!HBBQI", 0xdabb, 0x02, 20, number, len(body)) + body)

    def accept():
        while True:
            threading.Thread(target=talk, args=(listener.accept()[0],), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def route(target, headers=(), **name):
    return {"match": {"method": {"name": name}, "headers": list(headers)}, "route": {"cluster": target}}


TABLES = [
    {"name": "a", "interface": "demo.Greeter", "version": "2.0.0", "routes": [
        route("c1", exact="hello"), route("c2", [{"name": "tenant", "string_match": {"exact": "a"}}], safe_regex={"regex": ".*"})]},
    {"name": "b", "interface": "demo.*", "group": "blue", "routes": [
        route("c3", prefix="get", ignore_case=True), route("c4", safe_regex={"regex": "set.+"})]},
    {"name": "c", "interface": "*.Users", "routes": [route("c5", suffix="x"), route("nobody", contains="zz")]}]
BLUE = [("group", "blue")]
CALLS = [
    ("demo.Greeter", "hello", "2.0.0", []), ("demo.Greeter", "hello", "1.0.0", []), ("demo.Greeter", "hellos", "2.0.0", []),
    ("demo.Greeter", "bye", "2.0.0", [("tenant", "a")]), ("demo.Greeter", "bye", "2.0.0", [("tenant", "b")]), ("demo.Greeter", "GetIt", "2.0.0", BLUE),
    ("demo.Other", "get", "1.0.0", BLUE), ("demo.Other", "get", "1.0.0", [("group", "red")]), ("other.Demo", "get", "1.0.0", BLUE),
    ("demo.Other", "setIt", "1.0.0", BLUE), ("demo.Other", "set", "1.0.0", BLUE), ("other.Users", "findx", "1.0.0", []),
    ("other.Users", "y", "1.0.0", []), ("other.Users", "azzb", "1.0.0", []), ("demo.Users", "x", "1.0.0", []), ("demo.Users", "getx", "1.0.0", BLUE)]


def ask(port):
    """What becomes of each call: status, and the server's name where one answered. Then a heartbeat behind a one-way call."""
    said = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(10)
        stream = connection.makefile("rb")

        def read():
            head = stream.read(16)
            return head[2], head[3], struct.unpack("!Q", head[4:12])[0], stream.read(struct.unpack("!I", head[12:])[0])
        for number, call in enumerate(CALLS, 1):
            connection.sendall(request(number, *call))
            _, status, answered, body = read()
            lab.expect(answered == number, f"{call}: an answer to {answered} came for {number}")
            said.append((status, body[2:].decode() if status == 20 else None))
        connection.sendall(request(90, *CALLS[0], flags=0x82) + struct.pack("!HBBQI", 0xdabb, 0xe2, 0, 91, 1) + b"N")
        said.append(read())
    return said


with lab.Lab() as world:
    servers = {f"c{i}": serve(f"c{i}") for i in range(1, 6)}
    ports, answers = dict(zip(("envoy", "weft"), lab.free_ports(2))), {}
    for program, port in ports.items():
        tables = {"@type": PROXY, "stat_prefix": "dubbo", "multiple_route_config": {"name": "tables", "route_config": TABLES}}
        listener = {"name": "dubbo", "address": lab.socket_address(port), "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.dubbo_proxy", "typed_config": tables}]}]}
        config = lab.bootstrap(
            [listener], [lab.cluster(name, place) for name, place in servers.items()] + [lab.cluster("nobody", lab.free_port())])
        if program == "weft":
            world.proxy(config, port)
        else:
            world.start("envoy", lab.ENVOY, "-c", world.write("envoy.json", config), "--use-dynamic-base-id", "--concurrency", "1",
                        "--log-level", "critical", port=port)
        answers[program] = ask(port)
    for call, theirs, ours in zip([*CALLS, "a heartbeat"], *answers.values()):
        lab.expect(theirs == ours, f"{call}: Envoy {theirs}, weft-proxy {ours}")
    reached = sum(status == 20 for status, _ in answers["weft"][:-1])
    lab.expect(reached >= 8, f"only {reached} calls reached a server")
    print(f"{len(CALLS)} calls, {reached} reached a server, as with Envoy")
