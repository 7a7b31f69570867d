#!/usr/bin/env python3
"""Traffic that knows nothing of a proxy, captured by the kernel as Istio lays it out: two network namespaces joined by a cable, in each a program,
a sidecar, and rules that redirect what leaves to 15001 and what arrives to 15006. Our proxy on both sides, then a stock Envoy as the client's.

Namespaces and rules belong to this case alone and go with its processes. Needs root, ip, nft and unshare."""
import http.client, os, socket, subprocess, sys
import lab

lab.need(lab.ENVOY, "ip", "nft", "unshare", "nsenter", "setpriv")
PROXY_GROUP = 1337  # what this group sends is not captured: the proxy's own connections
CLIENT, SERVER = "10.77.0.1", "10.77.0.2"
REVIEWS, ECHO = "10.96.0.10", "10.96.0.20"  # virtual addresses: nobody has them but the mesh
SERVICE_PORT, ECHO_PORT, UNKNOWN_PORT = 9080, 7000, 8000
# What leaves goes to 15001 except the proxy's own and loopback; what arrives goes to 15006.
RULES = f"""
table ip weft
delete table ip weft
table ip weft {{
  chain outbound {{
    type nat hook output priority -100;
    meta skgid {PROXY_GROUP} return
    ip daddr 127.0.0.0/8 return
    tcp dport {{ %s }} return
    meta l4proto tcp redirect to :15001
  }}
  chain inbound {{
    type nat hook prerouting priority -100;
    iifname "cable" tcp dport != {{ %s }} redirect to :15006
  }}
}}
"""
# In the server's namespace: an HTTP program, a second one that no registry knows, and one that speaks first and then echoes.
PROGRAMS = '''
import socket, sys, threading
sys.path.insert(0, sys.argv[1])
import lab

def describe(name):
    return lambda request: f"{name} {request.path} {request.headers.get('x-envoy-attempt-count')} {request.client_address[0]}"

def speak(server):
    while True:
        peer, _ = server.accept()
        peer.sendall(b"hello\\n")
        while data := peer.recv(65536):
            peer.sendall(data.upper())
        peer.close()

lab.upstream("reviews", describe(sys.argv[2]), "%s", %d)
lab.upstream("unknown", describe("unknown"), "%s", %d)
threading.Thread(target=speak, args=(socket.create_server(("%s", %d)),), daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
'''
SIDECAR = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{ name: default }}
spec:
  egress: [{{ hosts: ["*/*"] }}]
  outboundTrafficPolicy: {{ mode: {mode} }}
"""


def run(*words, text=None):
    done = subprocess.run([str(w) for w in words], input=text, capture_output=True, text=True)
    if done.returncode != 0:
        raise lab.Failed(f"{' '.join(map(str, words))}: {done.stderr.strip()}")


def enter_own_namespace():
    """Everything that follows runs in a network namespace that has nothing but what this case puts there."""
    if os.geteuid() != 0:
        lab.skip("capturing traffic needs root")
    if os.environ.get("WEFT_CASE_NAMESPACE") == "1":
        return
    if subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode != 0:
        lab.skip("this machine gives no network namespaces")
    probe = "table ip probe { chain c { type nat hook output priority -100; tcp dport 1 redirect to :2; }; }"
    if subprocess.run(["unshare", "--net", "nft", "-f", "-"], input=probe.encode(), capture_output=True).returncode != 0:
        lab.skip("this kernel does not redirect")
    os.environ["WEFT_CASE_NAMESPACE"] = "1"
    os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])


def wire(world):
    """The second namespace, the cable, addresses and rules; returns the words that run a program over there."""
    there = world.start("namespace", "unshare", "--net", "sleep", "infinity")
    own = os.readlink("/proc/self/ns/net")
    lab.eventually("the second namespace exists", lambda: os.readlink(f"/proc/{there.pid}/ns/net") != own)
    over = ["nsenter", "--target", there.pid, "--net"]
    # The kernel takes a dead namespace apart in its own time: what an earlier round left here goes now.
    subprocess.run(["ip", "link", "delete", "cable"], capture_output=True)
    run("ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", there.pid)
    control = f"{world.api}, {world.xds}"
    for prefix, address in (([], CLIENT), (over, SERVER)):
        run(*prefix, "ip", "link", "set", "lo", "up")
        run(*prefix, "ip", "address", "add", f"{address}/24", "dev", "cable")
        run(*prefix, "ip", "link", "set", "cable", "up")
        run(*prefix, "ip", "route", "add", "default", "dev", "cable")
        run(*prefix, "nft", "-f", "-", text=RULES % (control, control))
    return over


def get(address, port, host, path="/"):
    try:
        status, body, _ = lab.http_get(port, path, host, address=address, timeout=5)
        return body if status == 200 else status
    except (OSError, http.client.HTTPException):
        return "closed"


def talk(address, port):
    """Listens first, then has its word echoed in capitals."""
    try:
        with socket.create_connection((address, port), 5) as peer:
            greeting = peer.recv(100)
            peer.sendall(b"word\n")
            return (greeting + peer.recv(100)).decode() if greeting else "closed"
    except OSError:
        return "closed"


def counter(admin, pattern, prefix=()):
    """The sum of a proxy's counters by pattern, asked where the proxy is."""
    out = subprocess.run([*map(str, prefix), "curl", "-s", f"http://127.0.0.1:{admin}/stats?filter={pattern}"], capture_output=True, text=True)
    return sum(int(line.rsplit(": ", 1)[1]) for line in out.stdout.splitlines() if line.rsplit(": ", 1)[-1].isdigit())


def check(client_program):
    with lab.Lab() as world:
        world.api, world.xds = lab.free_ports(2)
        over = wire(world)
        world.control(address=CLIENT)
        code = PROGRAMS % (SERVER, SERVICE_PORT, SERVER, UNKNOWN_PORT, SERVER, ECHO_PORT)
        program = world.write("programs.py", code)
        world.start("programs", *over, sys.executable, program, lab.ROOT / "Tests" / "Partners", "v1")
        lab.eventually("the programs listen", lambda: "ready" in world.log("programs"))
        # v2 lives beside v1, on another port: the service's port is the same for both.
        second = world.start("second", *over, sys.executable, world.write(
            "second.py", code.replace(f", {SERVICE_PORT})", ", 9082)").replace(f", {UNKNOWN_PORT})", ", 8002)").replace(f", {ECHO_PORT}))", ", 7002))")),
            lab.ROOT / "Tests" / "Partners", "v2")
        lab.eventually("the second version listens", lambda: "ready" in world.log("second"))
        world.apply(lab.service("reviews", {"v1": (SERVER, SERVICE_PORT), "v2": (SERVER, 9082)}, number=SERVICE_PORT, addresses=[REVIEWS]))
        world.apply(lab.service("echo", {"v1": (SERVER, ECHO_PORT)}, number=ECHO_PORT, protocol="TCP", addresses=[ECHO]))
        world.apply(lab.route("reviews", v1=100))
        as_proxy = ["setpriv", "--regid", PROXY_GROUP, "--clear-groups"]
        server = world.mesh_proxy("weft-proxy", "server", {}, address=SERVER, labels={"app": "reviews"}, prefix=[*over, *as_proxy])
        client = world.mesh_proxy(client_program, "client", {}, address=CLIENT, labels={"app": "client"}, prefix=as_proxy)
        lab.eventually("both proxies are in sync", lambda: world.settled(2), 20)

        # A known service by its virtual address: by its rule, through both sidecars.
        lab.eventually("reviews answers", lambda: str(get(REVIEWS, SERVICE_PORT, "reviews:9080")).startswith("v1"))
        name, path, attempts, source = get(REVIEWS, SERVICE_PORT, "reviews.default:9080", "/a?b").split()
        lab.expect((name, path, attempts, source) == ("v1", "/a?b", "1", "127.0.0.6"), f"{name} {path} {attempts} {source}")
        lab.expect(counter(server, "inbound_0.0.0.0_9080.downstream_rq_completed", over) >= 1, "the server's sidecar saw nothing")
        world.apply(lab.route("reviews", v2=100))
        lab.eventually("reviews follows its rule", lambda: str(get(REVIEWS, SERVICE_PORT, "reviews:9080")).startswith("v2"))
        lab.expect(talk(ECHO, ECHO_PORT) == "hello\nWORD\n", "a TCP service whose server speaks first")

        # What nobody knows passes through, whatever it speaks: by its own address, unchanged.
        lab.expect(str(get(SERVER, UNKNOWN_PORT, "anything")).startswith("unknown"), "an unknown destination is reached")
        lab.expect(talk(SERVER, 7002) == "hello\nWORD\n", "an unknown server that speaks first is reached")
        lab.expect(str(get(SERVER, SERVICE_PORT, "stranger.example:9080")).startswith("v1"), "an unknown host on a known port passes through")
        lab.expect(counter(client, "cluster.PassthroughCluster.upstream_cx_total") >= 3, "the passthrough cluster was not used")
        lab.expect(get(CLIENT, 15001, "loop") == "closed", "a connection to the capture port itself goes nowhere")

        # The same with only what the registry knows.
        world.apply(SIDECAR.format(mode="REGISTRY_ONLY"))
        lab.eventually("an unknown destination is refused", lambda: get(SERVER, UNKNOWN_PORT, "anything") == "closed", 10)
        lab.eventually("an unknown host on a known port is refused", lambda: get(SERVER, SERVICE_PORT, "stranger.example:9080") == 502, 10)
        lab.expect(talk(SERVER, 7002) == "closed", "an unknown TCP destination is refused")
        lab.expect(str(get(REVIEWS, SERVICE_PORT, "reviews:9080")).startswith("v2"), "a known service goes on")
        lab.expect(talk(ECHO, ECHO_PORT) == "hello\nWORD\n", "a known TCP service goes on")
        world.apply(SIDECAR.format(mode="ALLOW_ANY"))
        lab.eventually("and is allowed again", lambda: str(get(SERVER, UNKNOWN_PORT, "anything")).startswith("unknown"), 10)
        print(f"ok    {client_program} → weft-proxy")


enter_own_namespace()
run("ip", "link", "set", "lo", "up")
for program in ("weft-proxy", "envoy"):
    check(program)
print("captured both ways: known services by their rules, unknown destinations by policy")
