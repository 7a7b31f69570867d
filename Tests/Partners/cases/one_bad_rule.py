#!/usr/bin/env python3
"""One team's rule never keeps another's from arriving: bad specs put into the store past validation, beside good rules; and a server of a
gateway whose certificate is not there. A real Envoy and weft-proxy take all that is sent, and serve what comes later."""
import json, socket, sqlite3, ssl
import lab

lab.need(lab.ENVOY, "openssl")
GATEWAY = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{ name: {name} }}
spec:
  selector: {{ istio: {name} }}
  servers:
  - {{ port: {{ number: {plain}, name: http, protocol: HTTP }}, bind: 127.0.0.1, hosts: ["*"] }}
  - port: {{ number: {tls}, name: https-one, protocol: HTTPS }}
    bind: 127.0.0.1
    hosts: [one.example.com]
    tls: {{ mode: SIMPLE, serverCertificate: "{certificate}", privateKey: "{key}" }}
  - port: {{ number: {tls}, name: https-two, protocol: HTTPS }}
    bind: 127.0.0.1
    hosts: [two.example.com]
    tls: {{ mode: SIMPLE, serverCertificate: /nowhere/cert.pem, privateKey: /nowhere/key.pem }}
"""
PROGRAMS = ("envoy", "weft-proxy")
RULE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: {name} }}
spec: {{ hosts: [{name}.example.com], gateways: [envoy, weft-proxy, mesh], http: [{{ route: [{{ destination: {{ host: shop }} }}] }}] }}
"""
TO = {"route": [{"destination": {"host": "shop"}}]}
BAD = {
    "percent": dict(TO, headers={"request": {"set": {"x-discount": "100%"}}}),
    "header": dict(TO, headers={"response": {"add": {"x-a": "a\r\nb"}}}),
    "prefix": dict(TO, match=[{"headers": {"x-a": {"prefix": ""}}}]),
    "expression": dict(TO, match=[{"uri": {"regex": "("}}]),
    "weights": {"route": [{"destination": {"host": name}, "weight": 2147483647} for name in "abc"]},
    "redirect": {"redirect": {"uri": "/a\r\nb"}},
    "rewrite": dict(TO, rewrite={"authority": "a\nb"}),
    "status": {"directResponse": {"status": 700}},
}

with lab.Lab() as world:
    ca, certificate, key = world.certificates()
    plain, tls = ({program: lab.free_port() for program in PROGRAMS} for _ in range(2))
    world.control()
    world.apply(lab.service("shop", {"v1": lab.upstream("alive")}, number=80, protocol="HTTP"))
    for program in PROGRAMS:
        world.apply(GATEWAY.format(name=program, plain=plain[program], tls=tls[program], certificate=certificate, key=key))
    for name in ["good", *BAD]:
        world.apply(RULE.format(name=name))
    world.stop("control")
    with sqlite3.connect(world.directory / "store" / "store.db") as store:
        for name, http in BAD.items():
            spec = {"hosts": [f"{name}.example.com"], "gateways": ["envoy", "weft-proxy", "mesh"], "http": [http]}
            changed = store.execute("UPDATE objects SET spec = ? WHERE kind = 'VirtualService' AND name = ?", (json.dumps(spec), name)).rowcount
            lab.expect(changed == 1, f"{name} is not in the store")
    world.control()
    for program in PROGRAMS:
        world.mesh_proxy(program, f"gateway-{program}", {}, role="router", labels={"istio": program})

    def served(name, program):
        return lab.http_get(plain[program], "/", headers={"host": f"{name}.example.com"})[:2]

    def everywhere(name):
        return all(served(name, program) == (200, "alive") for program in PROGRAMS)

    lab.eventually("good rules are served", lambda: everywhere("good"), 30)
    world.apply(RULE.format(name="later"))
    lab.eventually("a rule that comes later is served", lambda: everywhere("later"), 10)
    lab.eventually("nobody refuses what is sent now", lambda: world.settled(len(PROGRAMS)), 20)
    for program in PROGRAMS:
        # The certificate is localhost's; that a handshake for one.example.com gets so far is what counts.
        trust = ssl.create_default_context(cafile=ca)
        trust.check_hostname = False
        with socket.create_connection(("127.0.0.1", tls[program])) as connection:
            trust.wrap_socket(connection, server_hostname="one.example.com").close()
    for name in BAD:
        lab.expect(all(served(name, program)[0] == 404 for program in PROGRAMS), f"{name} is served")
        status = world.ask(f"/api/v1/namespaces/default/virtualservices/{name}/status")
        lab.expect(status["phase"] == "refused" and "spec.http[0]" in json.dumps(status["refusals"]), f"{name}: {status}")
    for program in PROGRAMS:
        status = world.ask(f"/api/v1/namespaces/default/gateways/{program}/status")
        lab.expect("/nowhere/" in json.dumps(status["refusals"]), f"the gateway is told nothing of its file: {status}")
    print(f"{len(BAD)} bad rules and one missing file cost nobody else anything")
