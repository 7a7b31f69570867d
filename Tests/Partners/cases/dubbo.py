#!/usr/bin/env python3
"""A Dubbo 2 client that knows nothing of the mesh, through two proxies, to servers of two versions: routes by interface and method with 90/10, a
retry, a time-out, exceptions for what the proxies answer themselves, one-way calls and heartbeats; what came of it in logs and statistics."""
import collections, logging, socket, struct, threading, time
import lab

lab.need_module("dubbo_ssl")
logging.disable(logging.CRITICAL)  # the client logs every exception that it raises
from dubbo_ssl.client import DubboClient
from dubbo_ssl.codec.encoder import Object
from dubbo_ssl.common.exceptions import DubboRequestTimeoutException, DubboResponseException

DUBBO = {"name": "dubbo", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.generic_proxy.codecs.dubbo.v3.DubboCodecConfig"}}


def text(value):
    data = value.encode()
    return b"S" + struct.pack("!H", len(value)) + data


def short(value):
    return bytes([len(value)]) + value.encode()


class Server:
    """A provider: `hello` answers with its name and the argument's length, `flaky` fails every other time, `slow` never answers."""

    def __init__(self, name):
        self.name, self.calls, self.heartbeats, self.one_way, self.lock = name, collections.Counter(), 0, [], threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            threading.Thread(target=self.serve, args=(self.listener.accept()[0],), daemon=True).start()

    def serve(self, connection):
        stream = connection.makefile("rb")
        try:
            while len(head := stream.read(16)) == 16:
                _, flags, _, number, length = struct.unpack("!HBBQI", head)
                body = stream.read(length)
                if flags & 0x20:
                    self.heartbeats += 1
                    if flags & 0x40:
                        connection.sendall(struct.pack("!HBBQI", 0xdabb, 0x22, 20, number, 1) + b"N")
                    continue
                answer = self.answer(body)
                if flags & 0x40 == 0:
                    self.one_way.append(body)
                elif answer:
                    status, content = answer
                    connection.sendall(struct.pack("!HBBQI", 0xdabb, 0x02, status, number, len(content)) + content)
        except OSError:
            pass

    def answer(self, body):
        words, at = [], 0
        for _ in range(4):  # version of Dubbo, path, version, method
            if body[at] == ord("N"):
                words.append(None)
                at += 1
                continue
            size = body[at]
            words.append(body[at + 1:at + 1 + size].decode())
            at += 1 + size
        method = words[3]
        with self.lock:
            self.calls[method] += 1
            if method == "slow":
                return None
            if method == "flaky" and self.calls[method] % 2:
                return 80, text("not this time")
        return 20, b"\x91" + text(f"{self.name} {len(body)}")


def path(match, target, **more):
    return {"match": match, "route": {"cluster": target, "timeout": "5s", **more}}


def listener(port, hosts, log):
    manager = {"@type": lab.HCM, "stat_prefix": "dubbo", "http_filters": [lab.ROUTER], "route_config": {"name": "dubbo", "virtual_hosts": hosts},
               "access_log": [{"name": "envoy.access_loggers.file", "typed_config": {
                   "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": str(log),
                   "log_format": {"text_format_source": {"inline_string":
                       "%PROTOCOL% %REQ(:PATH)% %REQ(:AUTHORITY)% %RESPONSE_CODE% %RESP(DUBBO-STATUS)% %RESPONSE_FLAGS% %UPSTREAM_CLUSTER% "
                       "%UPSTREAM_PROTOCOL% %UPSTREAM_REQUEST_ATTEMPT_COUNT%\n"}}}}]}
    return {"name": f"dubbo_{port}", "address": lab.socket_address(port), "filter_chains": [{"filters": [
        DUBBO, {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}]}


with lab.Lab() as world:
    old, new = Server("old"), Server("new")
    front, middle, admin, inner = lab.free_ports(4)
    logs = [world.directory / name for name in ("out.log", "in.log")]
    split = {"weighted_clusters": {"clusters": [{"name": "old", "weight": 90}, {"name": "new", "weight": 10}]}, "timeout": "5s"}
    retry = {"retry_on": "5xx", "num_retries": 2}
    # The server's side divides the calls, and knows two interfaces; the client's side has the time-outs and retries.
    world.proxy(lab.bootstrap(
        [listener(middle, [{"name": "greeter", "domains": ["demo.Greeter"], "routes": [
            {"match": {"path": "/demo.Greeter/hello"}, "route": split}, path({"prefix": "/"}, "old")]},
            {"name": "users", "domains": ["demo.Users"], "routes": [path({"prefix": "/demo.Users/"}, "new")]}], logs[1])],
        [lab.cluster("old", old.port), lab.cluster("new", new.port)], inner), middle, "inbound")
    world.proxy(lab.bootstrap(
        [listener(front, [{"name": "all", "domains": ["*"], "routes": [
            path({"path": "/demo.Greeter/slow"}, "mesh", timeout="0.4s"), path({"path": "/demo.Greeter/flaky"}, "mesh", retry_policy=retry),
            path({"prefix": "/", "headers": [{"name": "dubbo-attachment-tenant", "string_match": {"exact": "nobody's"}}]}, "gone"),
            path({"prefix": "/"}, "mesh")]}], logs[0])],
        [lab.cluster("mesh", middle), lab.cluster("gone", lab.free_port())], admin), front, "outbound")

    def client(interface="demo.Greeter"):
        return DubboClient(interface=interface, group="", version="1.0.0", dubbo_version="2.6.2", host=f"127.0.0.1:{front}")

    def fails(call, *arguments, **more):
        try:
            return f"answered {call(*arguments, timeout=10, **more)}"
        except DubboResponseException as error:
            return str(error).strip()

    greeter = client()
    user = Object("demo.User")
    user["name"], user["age"] = "中文", 41
    seen = collections.Counter()
    for number in range(400):
        seen[greeter.call("hello", [user, number, ["a", "b"], 1.5, True, "x" * 200], timeout=10).split()[0]] += 1
    lab.expect(15 <= seen["new"] <= 75 and sum(seen.values()) == 400, f"90/10 came to {seen}")
    lab.expect(client("demo.Users").call("find", ["z"], timeout=10).startswith("new "), "another interface goes elsewhere")

    # Many at once over one connection of the client, one of each proxy.
    results = []
    threads = [threading.Thread(target=lambda: results.append(greeter.call("hello", ["y"], timeout=20))) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lab.expect(len(results) == 50, f"{len(results)} of 50 calls at once were answered")

    lab.expect(greeter.call("flaky", ["a"], timeout=10).startswith("old ") and old.calls["flaky"] == 2, "a failure is tried again")
    begun = time.monotonic()
    lab.expect(fails(greeter.call, "slow", ["a"]) == "upstream request timeout", "a time-out is an exception")
    lab.expect(0.3 < time.monotonic() - begun < 5, "a time-out comes in time")
    lab.expect(fails(client("demo.Nobody").call, "x") == "route_not_found", "an interface that nobody serves is an exception")
    refused = fails(greeter.call, "hello", ["a"], context={"tenant": "nobody's"})
    lab.expect("remote connection failure" in refused, f"an attachment chooses the route: {refused}")
    lab.expect(greeter.call("hello", ["still there"], timeout=10), "the connection outlives its exceptions")

    # What the client library does not do: a one-way call, and a heartbeat, which the first proxy answers itself.
    with socket.create_connection(("127.0.0.1", front)) as raw:
        raw.settimeout(10)
        body = b"".join(short(word) for word in ("2.0.2", "demo.Greeter", "1.0.0", "note", "Ljava/lang/String;", "hi")) + b"HZ"
        raw.sendall(struct.pack("!HBBQI", 0xdabb, 0x82, 0, 7, len(body)) + body + struct.pack("!HBBQI", 0xdabb, 0xe2, 0, 8, 1) + b"N")
        lab.expect(raw.recv(100) == struct.pack("!HBBQI", 0xdabb, 0x22, 20, 8, 1) + b"N", "a heartbeat is answered, a one-way call is not")
    lab.eventually("the one-way call arrives as it was", lambda: old.one_way == [body])

    lines = lambda i: logs[i].read_text().splitlines()
    wanted = {"Dubbo /demo.Greeter/flaky demo.Greeter 200 20 - mesh Dubbo 2", "Dubbo /demo.Greeter/slow demo.Greeter 504 - UT mesh Dubbo 1",
              "Dubbo /demo.Nobody/x demo.Nobody 404 60 - mesh Dubbo 1", "Dubbo /demo.Greeter/note demo.Greeter 200 - - mesh Dubbo 1"}
    lab.eventually("the log tells what happened", lambda: wanted <= set(lines(0)))
    lab.expect(sum("/hello" in line for line in lines(1)) >= 451, "the second proxy logs its own")
    stats = dict(line.split(": ", 1) for line in lab.http_get(admin, "/stats")[1].splitlines() if ": " in line)
    lab.expect(stats["cluster.mesh.upstream_rq_retry"] == "1" and stats["cluster.mesh.upstream_rq_timeout"] == "1", "retry and time-out are counted")
    lab.expect(int(stats["cluster.mesh.upstream_cx_total"]) <= 2, f"calls share a connection: {stats['cluster.mesh.upstream_cx_total']}")
    print(f"400 calls 90/10: {dict(seen)}; retry, time-out, exceptions, one-way, heartbeat")
