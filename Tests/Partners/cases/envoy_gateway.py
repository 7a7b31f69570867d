#!/usr/bin/env python3
"""A real Envoy as a gateway of weft-control: hosts, matches, weights, redirects, answers of its own, TLS from files, and what is removed."""
import collections, http.client, http.server, ssl, threading
import lab

lab.need(lab.ENVOY)


def upstream(name):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            body = f"{name} {self.path} {self.headers.get('x-added', '-')}".encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # a proxy that goes takes its idle connections with it
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


SERVICES = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: shop }}
spec:
  hosts: [shop.default.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{ number: 80, name: http, protocol: HTTP }}]
  endpoints:
  - {{ address: 127.0.0.1, ports: {{ http: {v1} }}, labels: {{ version: v1 }} }}
  - {{ address: 127.0.0.1, ports: {{ http: {v2} }}, labels: {{ version: v2 }} }}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: shop }}
spec:
  host: shop
  subsets: [{{ name: v1, labels: {{ version: v1 }} }}, {{ name: v2, labels: {{ version: v2 }} }}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{ name: edge }}
spec:
  selector: {{ istio: edge }}
  servers:
  - {{ port: {{ number: {plain}, name: http, protocol: HTTP }}, bind: 127.0.0.1, hosts: ["*"] }}
  - port: {{ number: {tls}, name: https, protocol: HTTPS }}
    bind: 127.0.0.1
    hosts: [shop.example.com]
    tls: {{ mode: SIMPLE, serverCertificate: "{certificate}", privateKey: "{key}" }}
"""
RULES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop }
spec:
  hosts: [shop.example.com]
  gateways: [edge]
  http:
  - match: [{ uri: { prefix: /v2/ } }]
    rewrite: { uri: / }
    headers: { request: { set: { x-added: "yes" } } }
    route: [{ destination: { host: shop, subset: v2 } }]
  - match: [{ headers: { x-user: { regex: "ja.*" } } }]
    route: [{ destination: { host: shop, subset: v2 } }]
  - match: [{ uri: { exact: /old } }]
    redirect: { uri: /new, redirectCode: 308 }
  - match: [{ uri: { prefix: /teapot } }]
    directResponse: { status: 418, body: { string: short and stout } }
  - match: [{ queryParams: { split: {} } }]
    route:
    - { destination: { host: shop, subset: v1 }, weight: 75 }
    - { destination: { host: shop, subset: v2 }, weight: 25 }
  - route: [{ destination: { host: shop, subset: v1 } }]
"""


def get(port, path, host="shop.example.com", tls=False, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.connect()
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection.sock = context.wrap_socket(connection.sock, server_hostname=host)
        connection.request("GET", path, headers={"Host": host, **{k.replace("_", "-"): v for k, v in headers.items()}})
        response = connection.getresponse()
        return response.status, response.read().decode(), dict(response.getheaders())
    finally:
        connection.close()


with lab.Lab() as world:
    api, xds = world.control()
    v1, v2 = upstream("v1"), upstream("v2")
    plain, tls, admin = lab.free_ports(3)
    _, certificate, key = world.certificates()
    world.apply(api, SERVICES.format(v1=v1, v2=v2, plain=plain, tls=tls, certificate=certificate, key=key))
    world.apply(api, RULES)
    config = world.write("envoy.json", {
        "node": {"id": "router~127.0.0.1~edge-1.default~default.svc.cluster.local", "cluster": "edge.default",
                 "metadata": {"NAMESPACE": "default", "LABELS": {"istio": "edge"}}},
        "admin": {"address": lab.address(admin)},
        "dynamic_resources": {
            "ads_config": {"api_type": "DELTA_GRPC", "transport_api_version": "V3",
                           "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}]},
            "lds_config": {"ads": {}, "resource_api_version": "V3"}, "cds_config": {"ads": {}, "resource_api_version": "V3"}},
        "static_resources": {"clusters": [lab.cluster("xds", xds, http2=True)]}})
    world.start("envoy", lab.ENVOY, "-c", config, "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warn")
    lab.eventually("the gateway serves", lambda: lab.listens(plain) and get(plain, "/a")[0] == 200, 30)
    checks = [
        ("the last route", get(plain, "/a")[:2], (200, "v1 /a -")),
        ("a prefix, rewritten, with a header", get(plain, "/v2/x?y=1")[:2], (200, "v2 /x?y=1 yes")),
        ("a header by regex", get(plain, "/a", x_user="jason")[1], "v2 /a -"),
        ("a regex is matched whole", get(plain, "/a", x_user="ajax")[1], "v1 /a -"),
        ("a redirect", (get(plain, "/old")[0], get(plain, "/old")[2].get("location")), (308, "http://shop.example.com/new")),
        ("an answer of its own", get(plain, "/teapot")[:2], (418, "short and stout")),
        ("an unknown host", get(plain, "/a", host="other.example.com")[0], 404),
        ("TLS by server certificate", get(tls, "/a", tls=True)[:2], (200, "v1 /a -")),
    ]
    for what, seen, expected in checks:
        assert seen == expected, f"{what}: {seen}, expected {expected}"
    counts = collections.Counter(get(plain, "/a?split")[1][:2] for _ in range(200))
    assert 25 <= counts["v2"] <= 80, counts
    # What is removed goes: the rule first, then the gateway.
    assert lab.http_get(api, "/api/v1/namespaces/default/VirtualService/shop", method="DELETE")[0] == 200
    lab.eventually("the rule is gone", lambda: get(plain, "/a")[0] == 404, 10)
    assert lab.http_get(api, "/api/v1/namespaces/default/Gateway/edge", method="DELETE")[0] == 200
    lab.eventually("the listener is gone", lambda: not lab.listens(plain), 15)
    print(f"{len(checks)} checks, weights {counts['v1']}:{counts['v2']}, removals followed")
