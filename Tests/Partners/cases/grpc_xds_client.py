#!/usr/bin/env python3
"""gRPC's C core with an xds:/// target: weft-control balances it over two servers and moves it by a route change."""
import collections, os, subprocess, sys
import lab

lab.need_module("grpc")
SERVER = """
import concurrent.futures, sys, grpc
name = sys.argv[1].encode()
server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo.Echo", {
    "Unary": grpc.unary_unary_rpc_method_handler(lambda request, context: name)}),))
server.add_insecure_port("127.0.0.1:" + sys.argv[2])
server.start()
server.wait_for_termination()
"""
CLIENT = """
import sys, time, grpc
channel = grpc.insecure_channel("xds:///echo.default.svc.cluster.local:7070")
call = channel.unary_unary("/echo.Echo/Unary")
for line in sys.stdin:
    seen = [call(b"hello", timeout=20, wait_for_ready=True).decode() for _ in range(int(line))]
    print(" ".join(seen), flush=True)
"""

with lab.Lab() as world:
    world.control()
    a, b = lab.free_ports(2)
    server = world.write("server.py", SERVER)
    for name, port in (("a", a), ("b", b)):
        world.start(f"server-{name}", sys.executable, server, name, port, port=port)
    world.apply(lab.service("echo", {"v1": a, "v2": b}, number=7070, protocol="GRPC").replace(
        "  host: echo\n", "  host: echo\n  trafficPolicy: { loadBalancer: { simple: ROUND_ROBIN } }\n"))
    bootstrap = world.write("bootstrap.json", {
        "xds_servers": [{"server_uri": f"127.0.0.1:{world.xds}", "channel_creds": [{"type": "insecure"}], "server_features": ["xds_v3"]}],
        "node": {"id": "sidecar~127.0.0.1~grpc-client.default~default.svc.cluster.local", "cluster": "client",
                 "metadata": {"GENERATOR": "grpc", "NAMESPACE": "default"}}})
    client = subprocess.Popen([sys.executable, str(world.write("client.py", CLIENT))], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=open(world.directory / "client.log", "w"), text=True,
                              env={**os.environ, "GRPC_XDS_BOOTSTRAP": str(bootstrap)})
    world.processes["client"] = client

    def ask(count):
        client.stdin.write(f"{count}\n")
        client.stdin.flush()
        return collections.Counter(client.stdout.readline().split())

    def both():
        seen = ask(100)
        return seen["a"] >= 40 and seen["b"] >= 40 and seen
    seen = lab.eventually("the client is balanced over both servers", both, 60)
    world.apply(lab.route("echo", v2=100))
    lab.eventually("the client follows the route", lambda: ask(20) == {"b": 20}, 30)
    assert world.settled(1), world.proxies()
    print(f"100 calls balanced {seen['a']}:{seen['b']}; a route change moved all of them")
