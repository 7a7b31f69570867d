#!/usr/bin/env python3
"""A program under `weft run` that knows nothing of the mesh but HTTP_PROXY: urllib, curl and requests in absolute form reach services by any
of their names, weights are kept, services that speak TLS are reached by CONNECT, every other name is refused."""
import json
import lab

lab.need("curl", "openssl")
PROGRAM = '''
import collections, http.client, json, os, subprocess, sys, urllib.error, urllib.parse, urllib.request

OUT, FULL = sys.argv[1], "reviews.default.svc.cluster.local"
proxy = urllib.parse.urlsplit(os.environ["HTTP_PROXY"])
result = {"variables": [os.environ.get(n) for n in ("HTTP_PROXY", "http_proxy")], "no_proxy": os.environ.get("NO_PROXY")}

def urllib_says(url, body=None):
    try:
        with urllib.request.urlopen(url, data=body, timeout=10) as answer:
            return [answer.status, answer.read().decode()]
    except urllib.error.HTTPError as error:
        return [error.code, ""]

def curl_says(*words):
    done = subprocess.run(["curl", "-s", "-m", "10", "-w", " %{http_code}", *words], capture_output=True, text=True)
    return done.stdout

result["urllib"] = {name: urllib_says(f"http://{name}:9080/from/urllib?a=b") for name in (
    "reviews", "reviews.default", "reviews.default.svc", FULL)}
result["post"] = urllib_says("http://reviews:9080/post", b"x" * 100000)
result["curl"] = curl_says("http://reviews:9080/from/curl")
result["curl, refused"] = curl_says("http://nobody:9080/")
result["port 80"] = urllib_says("http://details/without/a/port")
result["own port"] = urllib_says("http://details:80/with/one")
result["wrong port"] = urllib_says("http://reviews:9081/")
result["unknown"] = urllib_says("http://nobody.example/")
# One connection serves many services.
connection = http.client.HTTPConnection(proxy.hostname, proxy.port, timeout=10)
kinds = collections.Counter()
for number in range(1000):
    connection.request("GET", "http://reviews:9080/weights")
    kinds[connection.getresponse().read().decode().split()[0]] += 1
connection.request("GET", "http://details/same/connection")
result["same connection"] = connection.getresponse().read().decode()
result["weights"] = kinds
# A target and a Host field that name two services: whoever looks at one of them only is misled, so neither counts.
connection.putrequest("GET", "http://reviews:9080/", skip_host=True)
connection.putheader("Host", "details")
connection.endheaders()
result["two hosts"] = connection.getresponse().status
# By CONNECT: TLS from end to end, checked against the service's own certificate.
tunnel = ["--noproxy", "", "--proxytunnel", "-x", os.environ["HTTP_PROXY"], "--cacert", sys.argv[3]]
result["https"] = [curl_says(*tunnel, "--connect-to", f"::{FULL.replace('reviews', 'vault')}:8443", "https://localhost:8443/secret") for _ in range(20)]
result["connect elsewhere"] = subprocess.run(["curl", "-s", "-m", "10", *tunnel, "https://nobody.example:443/"], capture_output=True).returncode
result["connect to HTTP"] = subprocess.run(["curl", "-s", "-m", "10", *tunnel, "http://reviews:9080/"], capture_output=True).returncode
# What every local program reaches stays reachable without the proxy.
result["localhost"] = urllib_says(sys.argv[2])
with open(OUT, "w") as file:
    json.dump(result, file)
'''


VAULT = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: vault }
spec:
  hosts: [vault.default.svc.cluster.local]
  tls:
  - match: [{ sniHosts: [vault.default.svc.cluster.local], port: 8443 }]
    route: [{ destination: { host: vault, subset: v2 } }]
"""


def answer(name):
    return lambda request: f"{name} {request.headers.get('host')} {request.path}"


with lab.Lab() as world:
    world.control()
    world.apply(lab.service("reviews", {v: lab.upstream(v, answer(v)) for v in ("v1", "v2")}))
    world.apply(lab.service("details", {"v1": lab.upstream("details", answer("details"))}, number=80))
    world.apply(lab.route("reviews", v1=75, v2=25))
    ca, certificate, key = world.certificates()
    world.apply(lab.service("vault", {v: lab.upstream(v, answer(v), tls=(certificate, key)) for v in ("v1", "v2")}, number=8443, protocol="TLS"))
    world.apply(VAULT)
    out = world.directory / "result.json"
    application = world.start(
        "application", lab.BIN / "weft", "run", "--service", "client", "--control", f"http://127.0.0.1:{world.api}", "--xds",
        f"127.0.0.1:{world.xds}", "--state-dir", world.directory / "state", "--", lab.sys.executable, world.write("program.py", PROGRAM), out,
        f"http://127.0.0.1:{lab.upstream('local')}/", ca)
    assert application.wait(120) == 0, f"the application ended with {application.returncode}"
    seen = json.loads(out.read_text())

    def expect(what, predicate):
        lab.expect(predicate(seen[what]), f"{what}: {seen[what]}")

    expect("variables", lambda v: v[0] == v[1] and v[0].startswith("http://127.0.0.1:"))
    expect("urllib", lambda names: len(names) == 4 and all(
        status == 200 and body.split()[2] == "/from/urllib?a=b" and body.split()[1] == f"{name}:9080" for name, (status, body) in names.items()))
    expect("post", lambda v: v[0] == 200 and v[1].endswith(" 100000"))
    expect("curl", lambda v: v.split()[2:] == ["/from/curl", "200"])
    expect("curl, refused", lambda v: v.split()[-1] == "502")
    for what in ("port 80", "own port"):
        expect(what, lambda v: v[0] == 200 and v[1].startswith("details details"))
    for what in ("wrong port", "unknown"):
        expect(what, lambda v: v[0] == 502)
    expect("weights", lambda kinds: set(kinds) == {"v1", "v2"} and abs(kinds["v2"] - 250) <= 60)
    expect("same connection", lambda v: v == "details details /same/connection")
    # RFC 9112 section 3.2.2: the target says whom it is for, whatever Host says.
    expect("two hosts", lambda v: v == 200)
    expect("https", lambda v: {a.split()[0] for a in v} == {"v2"} and {a.split()[-1] for a in v} == {"200"})
    for what in ("connect elsewhere", "connect to HTTP"):
        expect(what, lambda code: code == 56)  # curl: the proxy refused
    expect("localhost", lambda v: v == [200, "local"])
    print(f"{len(seen)} checks; weights 75/25 came out as {seen['weights']['v1']}/{seen['weights']['v2']} of 1,000")
