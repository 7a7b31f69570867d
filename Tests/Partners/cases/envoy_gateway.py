#!/usr/bin/env python3
"""A real Envoy as a gateway of weft-control: hosts, matches, weights, redirects, answers of its own, TLS from files, and what is removed."""
import collections, http.client, ssl
import lab

lab.need(lab.ENVOY)


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
    world.control()
    v1, v2 = (lab.upstream(version, lambda r, v=version: f"{v} {r.path} {r.headers.get('x-added', '-')}") for version in ("v1", "v2"))
    plain, tls = lab.free_ports(2)
    _, certificate, key = world.certificates()
    world.apply(SERVICES.format(v1=v1, v2=v2, plain=plain, tls=tls, certificate=certificate, key=key))
    world.apply(RULES)
    world.mesh_proxy("envoy", "edge", {}, role="router", labels={"istio": "edge"})
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
    world.ask("/api/v1/namespaces/default/VirtualService/shop", "DELETE")
    lab.eventually("the rule is gone", lambda: get(plain, "/a")[0] == 404, 10)
    world.ask("/api/v1/namespaces/default/Gateway/edge", "DELETE")
    lab.eventually("the listener is gone", lambda: not lab.listens(plain), 15)
    print(f"{len(checks)} checks, weights {counts['v1']}:{counts['v2']}, removals followed")
