#!/usr/bin/env python3
"""A real Envoy and our proxy as sidecars of weft-control, state of the world and delta: they carry traffic and follow a route change without a stall."""
import http.server, json, threading, time
import lab

lab.need(lab.ENVOY)


def upstream(name):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.send_response(200)
            self.send_header("content-length", str(len(name)))
            self.end_headers()
            self.wfile.write(name.encode())

        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # a proxy that goes takes its idle connections with it
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


RULES = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: reviews }}
spec:
  hosts: [reviews.default.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{ number: 9080, name: http, protocol: HTTP }}]
  endpoints:
  - {{ address: 127.0.0.1, ports: {{ http: {v1} }}, labels: {{ version: v1 }} }}
  - {{ address: 127.0.0.1, ports: {{ http: {v2} }}, labels: {{ version: v2 }} }}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: reviews }}
spec:
  host: reviews
  subsets:
  - {{ name: v1, labels: {{ version: v1 }} }}
  - {{ name: v2, labels: {{ version: v2 }} }}
"""
ROUTE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: reviews }}
spec:
  hosts: [reviews]
  http:
  - route: [{{ destination: {{ host: reviews, subset: {subset} }} }}]
"""


PROGRAMS = {
    "envoy": (lab.ENVOY, "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warn"),
    "weft-proxy": (lab.BIN / "weft-proxy", "--concurrency", "1"),
}


def bootstrap(program, form, xds, front, admin):
    return {
        "node": {"id": f"sidecar~127.0.0.1~{program}-{form.lower()}.default~default.svc.cluster.local", "cluster": "client.default",
                 "metadata": {"NAMESPACE": "default", "LABELS": {"app": "client"},
                              "WEFT_UPSTREAMS": [{"host": "reviews", "port": 9080, "listen": f"127.0.0.1:{front}"}]}},
        "admin": {"address": lab.address(admin)},
        "dynamic_resources": {
            "ads_config": {"api_type": form, "transport_api_version": "V3", "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}]},
            "lds_config": {"ads": {}, "resource_api_version": "V3"}, "cds_config": {"ads": {}, "resource_api_version": "V3"}},
        "static_resources": {"clusters": [lab.cluster("xds", xds, http2=True)]}}


with lab.Lab() as world:
    api, xds = world.control()
    v1, v2 = upstream("v1"), upstream("v2")
    world.apply(api, RULES.format(v1=v1, v2=v2))
    world.apply(api, ROUTE.format(subset="v1"))
    fronts, slowest = {}, 0.0
    for program, (binary, *flags) in PROGRAMS.items():
        for form in ("GRPC", "DELTA_GRPC"):
            name = f"{program} ({form})"
            front, admin = lab.free_ports(2)
            config = world.write(f"{program}-{form}.json", bootstrap(program, form, xds, front, admin))
            world.start(f"{program}-{form}", binary, "-c", config, *flags)
            lab.eventually(f"{name} serves the upstream listener", lambda: lab.http_get(front)[:2] == (200, "v1"), 30)
            fronts[name] = front
    for subset in ("v2", "v1", "v2"):
        started = time.monotonic()
        world.apply(api, ROUTE.format(subset=subset))
        for name, front in fronts.items():
            lab.eventually(f"{name} follows to {subset}", lambda: lab.http_get(front)[:2] == (200, subset), 10)
        slowest = max(slowest, time.monotonic() - started)
    # A change of the cluster itself re-warms it in Envoy: the classic 15 s stall when endpoints are not sent again.
    for version, subset in (("v2", "v2"), ("v1", "v2")):
        started = time.monotonic()
        world.apply(api, RULES.format(v1=v1, v2=v2).replace("host: reviews\n", "host: reviews\n  trafficPolicy: { connectionPool: "
                                                            f"{{ tcp: {{ maxConnections: {100 + len(version) + int(version[1])} }} }} }}\n"))
        world.apply(api, ROUTE.format(subset="v1" if subset == "v2" else "v2"))
        world.apply(api, ROUTE.format(subset=subset))
        for name, front in fronts.items():
            lab.eventually(f"{name} still follows", lambda: lab.http_get(front)[:2] == (200, subset), 10)
        slowest = max(slowest, time.monotonic() - started)
    items = json.loads(lab.http_get(api, "/api/v1/proxies")[1])["items"]
    assert len(items) == len(fronts), items
    for item in items:
        for kind, state in item["types"].items():
            assert state["status"] in ("SYNCED", "NOT SENT", "IGNORED"), f"{item['id']} {kind}: {state}"
    assert slowest < 5, f"a change took {slowest:.1f} s"
    print(f"{len(fronts)} sidecars carry traffic; the slowest change was followed in {slowest * 1000:.0f} ms")
