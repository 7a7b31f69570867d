#!/usr/bin/env python3
"""How long programs take to end when nothing is in flight: weft-proxy with idle clients, weft run, weft-control with a proxy connected."""
import http.client, pathlib, signal, socket, sys, time
import lab

sys.path.insert(0, str(lab.ROOT / "Benchmarks"))
from h2client import GOAWAY, H2Client

SERVER = "import http.server; http.server.ThreadingHTTPServer(('127.0.0.1', {}), http.server.SimpleHTTPRequestHandler).serve_forever()"


def ended(what, process, signals=(signal.SIGTERM,), atMost=2.5):
    began = time.monotonic()
    for number in signals:
        process.send_signal(number)
        time.sleep(0.05)
    code = process.wait(60)
    took = time.monotonic() - began
    print(f"{what}: {took:.2f} s, code {code}")
    assert took <= atMost, f"{what} took {took:.2f} s to end"
    return code


def kept_alive(port):
    client = http.client.HTTPConnection("127.0.0.1", port)
    client.request("GET", "/")
    client.getresponse().read()
    return client


def two(port):
    client = H2Client(port)
    client.get()
    return client


with lab.Lab() as bench:
    server, port = lab.free_ports(2)
    bench.start("server", sys.executable, "-c", SERVER.format(server), port=server)
    bootstrap = lab.bootstrap([lab.listener(port, lab.routes(("/", "server", {})))], [lab.cluster("server", server)])
    cases = {"nobody": lambda: None, "a silent client": lambda: socket.create_connection(("127.0.0.1", port)),
             "an idle HTTP/1.1 client": lambda: kept_alive(port), "an idle HTTP/2 client that answers nothing": lambda: two(port)}
    for name, connect in cases.items():
        proxy = bench.proxy(bootstrap, port)
        client = connect()
        assert ended(f"weft-proxy with {name}", proxy) == 0
        if isinstance(client, H2Client):
            kinds = []
            while (frame := client.receive()) is not None:
                kinds.append(frame[0])
            assert kinds.count(GOAWAY) == 2, f"two GOAWAYs and an orderly end, not {kinds}"
        elif client is not None:
            (client.sock if hasattr(client, "sock") else client).settimeout(5)
            assert (client.sock if hasattr(client, "sock") else client).recv(1) == b"", "an orderly end"

    bench.control()
    api, xds = bench.api, bench.xds
    environment = {"WEFT_CONTROL": f"http://127.0.0.1:{api}", "WEFT_XDS": f"127.0.0.1:{xds}"}

    def run(name):
        own, = lab.free_ports(1)
        process = bench.start(name, lab.BIN / "weft", "run", "--service", name, "--port", own, "--state-dir", bench.directory / name,
                              "--", sys.executable, "-c", SERVER.format(own), env=environment)
        lab.eventually(f"{name} takes traffic", lambda: "taking traffic" in bench.log(name))
        return process

    assert ended("weft run", run("one")) == 0
    assert ended("weft run, told twice", run("two"), (signal.SIGTERM, signal.SIGTERM), 1) == 128 + signal.SIGTERM
    last = run("three")
    assert ended("weft-control with a proxy connected", bench.processes["control"]) == 0
    assert ended("weft run without a control plane", last) == 0
