#!/usr/bin/env python3
"""h2load through weft-proxy: 100,000 requests over HTTP/2 and 100,000 over HTTP/1.1, to both kinds of upstream, none fails."""
import re, subprocess
import lab

lab.need("h2load", "nghttpd")
with lab.Lab() as world:
    front, first, second, admin = lab.free_ports(4)
    (world.directory / "www").mkdir()
    (world.directory / "www" / "x").write_text("a" * 128)
    world.start("upstream-h2", "nghttpd", "--no-tls", "-d", world.directory / "www", first, port=first)
    # An HTTP/1.1 upstream: a second weft-proxy that answers by itself.
    answer = {"name": "r", "virtual_hosts": [{"name": "a", "domains": ["*"], "routes": [
        {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "b" * 128}}}]}]}
    world.proxy(lab.bootstrap([lab.listener(second, answer)], []), second, "upstream-h1")
    limits = {"circuit_breakers": {"thresholds": [{"max_connections": 4096, "max_requests": 4096, "max_pending_requests": 4096}]}}
    world.proxy(lab.bootstrap(
        [lab.listener(front, lab.routes(("/h1", "h1", {"prefix_rewrite": "/"}), ("/", "h2", {})))],
        [lab.cluster("h2", first, http2=True, **limits), lab.cluster("h1", second, **limits)], admin), front)
    for flags, path, count in (([], "/x", 50000), ([], "/h1", 50000), (["--h1"], "/x", 50000), (["--h1"], "/h1", 50000)):
        out = subprocess.run(["h2load", *flags, "-n", str(count), "-c", "16", "-m", "1" if flags else "32", "-t1",
                              f"http://127.0.0.1:{front}{path}"], capture_output=True, text=True, timeout=300).stdout
        done = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", out)
        codes = re.search(r"status codes: (\d+) 2xx", out)
        assert done and done.groups() == (str(count), "0", "0", "0") and codes.group(1) == str(count), out[-1500:]
    print("200,000 requests in four combinations, 0 failed")
