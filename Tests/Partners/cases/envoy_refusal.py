#!/usr/bin/env python3
"""A rule that is valid and that Envoy refuses: the refusal's text is in the status, traffic goes on, the next change heals it."""
import http.server, json, threading
import lab

lab.need(lab.ENVOY)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"alive")

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
SERVICE = f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: reviews }}
spec:
  hosts: [reviews.default.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{ number: 9080, name: http, protocol: HTTP }}]
  endpoints: [{{ address: 127.0.0.1, ports: {{ http: {server.server_address[1]} }} }}]
"""
# Rings of more than eight million entries are beyond Envoy's own limit.
RULE = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: reviews }}
spec:
  host: reviews
  trafficPolicy: {{ loadBalancer: {{ consistentHash: {{ useSourceIp: true, ringHash: {{ minimumRingSize: {size} }} }} }} }}
"""


def bootstrap(form, xds, front, admin):
    return {
        "node": {"id": f"sidecar~127.0.0.1~client-{form.lower()}.default~default.svc.cluster.local", "cluster": "client.default",
                 "metadata": {"WEFT_UPSTREAMS": [{"host": "reviews", "port": 9080, "listen": f"127.0.0.1:{front}"}]}},
        "admin": {"address": lab.address(admin)},
        "dynamic_resources": {
            "ads_config": {"api_type": form, "transport_api_version": "V3", "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}]},
            "lds_config": {"ads": {}, "resource_api_version": "V3"}, "cds_config": {"ads": {}, "resource_api_version": "V3"}},
        "static_resources": {"clusters": [lab.cluster("xds", xds, http2=True)]}}


with lab.Lab() as world:
    api, xds = world.control()
    world.apply(api, SERVICE)
    fronts = []
    for form in ("GRPC", "DELTA_GRPC"):
        front, admin = lab.free_ports(2)
        config = world.write(f"envoy-{form}.json", bootstrap(form, xds, front, admin))
        world.start(f"envoy-{form}", lab.ENVOY, "-c", config, "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warn")
        lab.eventually(f"Envoy ({form}) serves", lambda: lab.http_get(front)[:2] == (200, "alive"), 30)
        fronts.append(front)

    def states():
        items = json.loads(lab.http_get(api, "/api/v1/proxies")[1])["items"]
        return [item["types"]["CDS"] for item in items]

    world.apply(api, RULE.format(size=9_000_000))
    lab.eventually("both refuse the cluster", lambda: [s["status"] for s in states()] == ["ERROR", "ERROR"], 20)
    assert all("ring" in state["error"] for state in states()), states()
    assert all(lab.http_get(front)[:2] == (200, "alive") for front in fronts)
    world.apply(api, RULE.format(size=2048))
    lab.eventually("both take the mended rule", lambda: [s["status"] for s in states()] == ["SYNCED", "SYNCED"], 20)
    assert all(lab.http_get(front)[:2] == (200, "alive") for front in fronts)
    print("refused by both forms with the reason, traffic unchanged, mended by the next change")
