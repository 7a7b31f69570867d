#!/usr/bin/env python3
"""A rule that is valid and that Envoy refuses: the refusal's text is in the status, traffic goes on, the next change heals it."""
import lab

lab.need(lab.ENVOY)
# Only the proxy can know whether a file is there.
RULE = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: reviews }}
spec:
  host: reviews
  trafficPolicy: {{ {policy} }}
"""

with lab.Lab() as world:
    world.control()
    world.apply(lab.service("reviews", {"v1": lab.upstream("alive")}))
    fronts = []
    for form in ("GRPC", "DELTA_GRPC"):
        front = lab.free_port()
        world.mesh_proxy("envoy", f"envoy-{form.lower()}",
                         {"WEFT_UPSTREAMS": [{"host": "reviews", "port": 9080, "listen": f"127.0.0.1:{front}"}]}, form)
        lab.eventually(f"Envoy ({form}) serves", lambda: lab.http_get(front)[:2] == (200, "alive"), 30)
        fronts.append(front)

    def statuses():
        return [types["CDS"]["status"] for types in world.proxies().values()]

    # The change refuses a cluster and takes the subset's cluster away: what is taken of it must not hide what is refused.
    world.apply(RULE.format(policy="tls: { mode: SIMPLE, caCertificates: /nowhere/ca.pem }"))
    lab.eventually("both refuse the cluster", lambda: statuses() == ["ERROR", "ERROR"], 20)
    assert all("/nowhere/ca.pem" in types["CDS"]["error"] for types in world.proxies().values()), world.proxies()
    assert all(lab.http_get(front)[:2] == (200, "alive") for front in fronts)
    world.apply(RULE.format(policy="loadBalancer: { simple: RANDOM }"))
    lab.eventually("both take the mended rule", lambda: statuses() == ["SYNCED", "SYNCED"], 20)
    assert all(lab.http_get(front)[:2] == (200, "alive") for front in fronts)
    print("refused by both forms with the reason, traffic unchanged, mended by the next change")
