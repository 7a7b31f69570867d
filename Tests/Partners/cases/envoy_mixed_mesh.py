#!/usr/bin/env python3
"""One mesh, two makes of sidecar: weft-proxy on the client's side and a stock Envoy on the server's, and the other way round, both configured
by weft-control. A request crosses both; under load the split follows the rule, a drained version leaves, and nothing is lost."""
import json
import lab

lab.need(lab.ENVOY)
MAKES = {"weft-proxy": "envoy", "envoy": "weft-proxy"}


def register(world, service, version, inbound):
    """What an agent would say of an instance whose proxy listens on `inbound`."""
    world.ask("/api/v1/workloads", "POST", json.dumps({
        "id": f"{service}-{version}", "namespace": "default", "service": service, "labels": {"version": version},
        "address": "127.0.0.1", "inboundAddress": "127.0.0.1", "health": "HEALTHY", "weight": 1, "leaseSeconds": 600,
        "ports": [{"number": 9080, "name": "http", "protocol": "HTTP", "appPort": 9080, "inboundPort": inbound}]}))


def seen(request):
    """Which sidecars a request went through, as the server sees it: each adds what the mesh's configuration makes it add."""
    return f"{request.headers.get('host')} {request.headers.get('x-request-id', '-') != '-'} {request.headers.get('x-envoy-attempt-count')}"


def check(world, client, server):
    service = f"reviews-behind-{server}"
    fronts = {}
    for version in ("v1", "v2"):
        app = lab.upstream(version, lambda request, v=version: f"{v} {seen(request)}")
        inbound = lab.free_port()
        name = f"{service}-{version}"
        admin = world.mesh_proxy(server, name, {"WEFT_INBOUND": [
            {"port": 9080, "protocol": "HTTP", "app": f"127.0.0.1:{app}", "listen": f"127.0.0.1:{inbound}"}]},
            labels={"app": service, "version": version})
        register(world, service, version, inbound)
        lab.eventually(f"{name} serves its application", lambda: lab.http_get(inbound)[0] == 200)
        fronts[version] = admin
    world.apply("\n".join(["apiVersion: networking.istio.io/v1", "kind: DestinationRule", f"metadata: {{ name: {service} }}", "spec:",
                           f"  host: {service}", "  subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }]"]))
    world.apply(lab.route(service, v1=100))
    front = lab.free_port()
    world.mesh_proxy(client, f"client-{client}", {"WEFT_UPSTREAMS": [{"host": service, "port": 9080, "listen": f"127.0.0.1:{front}"}]})
    answer = lab.eventually(f"{client} reaches {service}", lambda: lab.http_get(front)[0] == 200 and lab.http_get(front)[1])
    assert answer == f"v1 {service}.default.svc.cluster.local:9080 True 1", answer

    load = lab.Load(front, kind=lambda body: body[:2].decode(), clients=4, pause=0.001)
    load.until(200)
    world.apply(lab.route(service, v1=70, v2=30))
    lab.eventually("v2 has a share", lambda: load.mark()["kinds"].get("v2"), 10)
    split = load.until(2000)
    share = 100 * split["kinds"]["v2"] / split["requests"]
    lab.expect(abs(share - 30) <= 6, f"v2 had {share:.1f} % of {split['requests']}, not 30 ± 6")
    world.apply(lab.route(service, v2=100))
    lab.eventually("v2 has all", lambda: set(load.until(50)["kinds"]) == {"v2"}, 10)
    load.stop()
    load.expect_no_loss(load.mark(), closed=0)
    # Both hops were taken: the server's sidecar counted what the client's sent.
    for version, admin in fronts.items():
        stats = lab.http_get(admin, "/stats?filter=downstream_rq_completed")[1]
        inbound = sum(int(line.rsplit(": ", 1)[1]) for line in stats.splitlines() if ".inbound_" in line)
        lab.expect(inbound >= load.kinds[version] / 2, f"{server} of {version} counted {inbound} of {load.kinds[version]} requests:\n{stats}")
    print(f"ok    {client} → {server}: {load.requests} requests, v2 had {share:.1f} % of 30, 0 failed, 0 connections closed")


with lab.Lab() as world:
    world.control()
    for client, server in MAKES.items():
        check(world, client, server)
    lab.eventually("all proxies are in sync", lambda: world.settled(6), 10)
    print("either make on either side")
