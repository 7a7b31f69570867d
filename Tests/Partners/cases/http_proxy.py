#!/usr/bin/env python3
"""A program under `weft run` that knows nothing of the mesh but HTTP_PROXY: urllib, curl and requests in absolute form reach services by any
of their names, weights are kept, every other name is refused."""
import json
import lab

lab.need("curl")
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
# What every local program reaches stays reachable without the proxy.
result["localhost"] = urllib_says(sys.argv[2])
with open(OUT, "w") as file:
    json.dump(result, file)
'''


def answer(name):
    return lambda request: f"{name} {request.headers.get('host')} {request.path}"


with lab.Lab() as world:
    world.control()
    world.apply(lab.service("reviews", {v: lab.upstream(v, answer(v)) for v in ("v1", "v2")}))
    world.apply(lab.service("details", {"v1": lab.upstream("details", answer("details"))}, number=80))
    world.apply(lab.route("reviews", v1=75, v2=25))
    out = world.directory / "result.json"
    application = world.start(
        "application", lab.BIN / "weft", "run", "--service", "client", "--control", f"http://127.0.0.1:{world.api}", "--xds",
        f"127.0.0.1:{world.xds}", "--state-dir", world.directory / "state", "--", lab.sys.executable, world.write("program.py", PROGRAM), out,
        f"http://127.0.0.1:{lab.upstream('local')}/")
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
    expect("two hosts", lambda v: v == 400)
    expect("localhost", lambda v: v == [200, "local"])
    print(f"{len(seen)} checks; weights 75/25 came out as {seen['weights']['v1']}/{seen['weights']['v2']} of 1,000")
