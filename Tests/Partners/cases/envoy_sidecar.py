#!/usr/bin/env python3
"""A real Envoy and our proxy as sidecars of weft-control, state of the world and delta: they carry traffic and follow a route change without a stall."""
import time
import lab

lab.need(lab.ENVOY)

with lab.Lab() as world:
    world.control()
    services = lab.service("reviews", {v: lab.upstream(v) for v in ("v1", "v2")})
    world.apply(services)
    world.apply(lab.route("reviews", v1=100))
    fronts, slowest = {}, 0.0
    for program in lab.MESH_PROXIES:
        for form in ("GRPC", "DELTA_GRPC"):
            name = f"{program} ({form})"
            fronts[name] = front = lab.free_port()
            world.mesh_proxy(program, f"{program}-{form.lower()}",
                             {"WEFT_UPSTREAMS": [{"host": "reviews", "port": 9080, "listen": f"127.0.0.1:{front}"}]}, form)
            lab.eventually(f"{name} serves the upstream listener", lambda: lab.http_get(front)[:2] == (200, "v1"), 30)

    def follow(subset, *changes):
        """Applies the changes; every proxy must answer from `subset` soon after."""
        global slowest
        started = time.monotonic()
        for change in changes:
            world.apply(change)
        for name, front in fronts.items():
            lab.eventually(f"{name} follows to {subset}", lambda: lab.http_get(front)[:2] == (200, subset), 10)
        slowest = max(slowest, time.monotonic() - started)

    for subset in ("v2", "v1", "v2"):
        follow(subset, lab.route("reviews", **{subset: 100}))
    # A change of the cluster itself re-warms it in Envoy: the classic 15 s stall when endpoints are not sent again.
    for limit in (102, 103):
        pool = f"  trafficPolicy: {{ connectionPool: {{ tcp: {{ maxConnections: {limit} }} }} }}\n"
        changed = services.replace("  host: reviews\n", "  host: reviews\n" + pool)
        assert changed != services
        follow("v2", changed, lab.route("reviews", v1=100), lab.route("reviews", v2=100))
    lab.eventually("every proxy is in sync", lambda: world.settled(len(fronts)), 5)
    assert slowest < 5, f"a change took {slowest:.1f} s"
    print(f"{len(fronts)} sidecars carry traffic; the slowest change was followed in {slowest * 1000:.0f} ms")
