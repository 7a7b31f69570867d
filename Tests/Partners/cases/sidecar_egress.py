#!/usr/bin/env python3
"""A Sidecar resource decides what a proxy is given, our proxy and a stock Envoy in both forms: only the clusters it imports, everything else
refused; widening and narrowing it take effect under load without closing a connection."""
import http.client, json
import lab

lab.need(lab.ENVOY)
SERVICES = ("details", "ratings", "reviews")
SIDECAR = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{ name: client }}
spec:
  workloadSelector: {{ labels: {{ team: front }} }}
  egress: [{{ hosts: [{hosts}] }}]
"""


def clusters(admin):
    """The services of which the proxy has a cluster, by its own configuration dump."""
    dump = json.loads(lab.http_get(admin, "/config_dump")[1])
    names = {entry["cluster"]["name"] for section in dump["configs"] for entry in section.get("dynamic_active_clusters", [])}
    return {name.split("|")[3].split(".")[0] for name in names if name.startswith("outbound|")}


class Client:
    """A program behind a forward proxy, on one connection for as long as the proxy keeps it."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self.connection.connect()
        self.socket = self.connection.sock

    def get(self, name):
        self.connection.request("GET", f"http://{name}:9080/")
        answer = self.connection.getresponse()
        body = answer.read().decode()
        lab.expect(self.connection.sock is self.socket, f"the connection was closed after a request for {name}")
        return body if answer.status == 200 else answer.status


with lab.Lab() as world:
    world.control()
    for name in SERVICES:
        world.apply(lab.service(name, {"v1": lab.upstream(name)}))
    world.apply(SIDECAR.format(hosts='"./reviews.default.svc.cluster.local"'))
    admins, fronts, clients, loads = {}, {}, {}, {}
    for program in lab.MESH_PROXIES:
        for form in ("GRPC", "DELTA_GRPC"):
            name = f"{program}-{form.lower()}"
            fronts[name] = lab.free_port()
            admins[name] = world.mesh_proxy(program, name, {"WEFT_HTTP_PROXY": f"127.0.0.1:{fronts[name]}"}, form, labels={"team": "front"})
    unlimited_front = lab.free_port()
    unlimited = world.mesh_proxy("weft-proxy", "other", {"WEFT_HTTP_PROXY": f"127.0.0.1:{unlimited_front}"}, labels={"team": "back"})

    def everywhere(what, imported):
        for name, admin in admins.items():
            lab.eventually(f"{name} has {what}", lambda: clusters(admin) == set(imported), 20)
        for name, client in clients.items():
            for service in SERVICES:
                expected = service if service in imported else 502
                lab.eventually(f"{name} answers for {service} with {expected}", lambda: client.get(service) == expected, 10)

    everywhere("only what the Sidecar imports", ["reviews"])
    for name, front in fronts.items():
        lab.eventually(f"{name} listens", lambda: lab.listens(front))
        clients[name] = Client(front)
        loads[name] = lab.Load(front, "http://reviews:9080/", clients=2, pause=0.01)
    everywhere("only what the Sidecar imports", ["reviews"])
    lab.eventually("a proxy the Sidecar does not select has everything", lambda: clusters(unlimited) == set(SERVICES), 20)
    world.apply(SIDECAR.format(hosts='"./reviews.default.svc.cluster.local", "./ratings.default.svc.cluster.local"'))
    everywhere("what was added", ["ratings", "reviews"])
    world.apply(SIDECAR.format(hosts='"*/*"'))
    everywhere("everything", SERVICES)
    world.apply(SIDECAR.format(hosts='"default/reviews.default.svc.cluster.local"'))
    everywhere("only the first again", ["reviews"])
    world.ask("/api/v1/namespaces/default/Sidecar/client", "DELETE")
    everywhere("everything, without a Sidecar", SERVICES)
    for name, load in loads.items():
        # On a fast machine all changes are through in half a second.
        lab.eventually(f"{name} has been asked often enough", lambda: load.requests > 50, 10)
        load.stop()
        load.expect_no_loss(load.mark(), closed=0)
    lab.eventually("every proxy is in sync", lambda: world.settled(len(admins) + 1), 10)
    print(f"{len(admins)} proxies limited and widened; {sum(l.requests for l in loads.values())} requests beside it, 0 failed, 0 connections closed")
