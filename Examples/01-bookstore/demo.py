#!/usr/bin/env python3
"""The bookstore behind sidecars, under steady load, while everything around it changes.

Starts a control plane, a gateway and six workloads with sidecars, then checks one promise after another and prints each. Ends with the
line `N passed, 0 failed`. KEEP=1 in the environment leaves everything running at the end and prints what to open.
"""
import contextlib, json, os, pathlib, re, signal, subprocess, sys, time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "Tools"))
from loopback import BIN, Failed, Load, Processes, eventually, expect, free_ports, http_get

SERVICE_PORT = 9080  # what clients of every service say, whatever port its instances really listen on
PROXIES = 7          # the gateway's and six sidecars


class Mesh(Processes):
    """The bookstore as a person would start it: `weft up` once, `weft run` per program, `weft apply` for rules."""

    def __init__(self):
        self.api, self.xds, self.gateway = free_ports(3)
        super().__init__("weft-demo-", {"WEFT_CONTROL": f"http://127.0.0.1:{self.api}", "WEFT_XDS": f"127.0.0.1:{self.xds}", "NO_COLOR": "1"})
        self.environment["WEFT_STATE"] = str(self.directory / "state")
        self.ports = dict(zip(("page", "details", "ratings", "reviews-v1", "reviews-v2", "reviews-v3"), free_ports(6)))

    def control(self):
        ready = self.directory / "ready"
        ready.unlink(missing_ok=True)
        self.start("control", BIN / "weft", "up", "--api-address", f"127.0.0.1:{self.api}", "--xds-address", f"127.0.0.1:{self.xds}",
                   "--data-dir", self.directory / "store", "--ready-file", ready)
        eventually("the control plane serves", ready.exists)

    def workload(self, name, calls=()):
        """`name` is a service, or service-version; `calls` are the services it reaches."""
        service, _, version = name.partition("-")
        port = self.ports[name]
        upstreams = [word for host in calls for word in ("--upstreams", f"{host}:{SERVICE_PORT}")]
        self.start(name, BIN / "weft", "run", "--service", service, "--version", version or "v1", "--port", port, "--service-port", SERVICE_PORT,
                   "--drain-seconds", "2", *upstreams, "--", BIN / "bookstore", service, "--port", port)

    def reviews(self, version):
        self.workload(f"reviews-{version}", calls=["ratings"])

    def everything(self):
        self.control()
        self.workload("ratings")
        self.workload("details")
        for version in ("v1", "v2", "v3"):
            self.reviews(version)
        self.workload("page", calls=["details", "reviews"])
        self.start("gateway", BIN / "weft", "run", "--gateway", "bookstore")

    def weft(self, *words, accept=(0,)):
        """The command line, as a person uses it."""
        done = subprocess.run([str(BIN / "weft"), *map(str, words)], env=self.environment, capture_output=True, text=True, timeout=60)
        expect(done.returncode in accept, f"weft {' '.join(map(str, words))} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def rule(self, name):
        return self.write(name, (HERE / "rules" / name).read_text().replace("@GATEWAY_PORT@", str(self.gateway)))

    def apply(self, *names):
        for name in names:
            self.weft("apply", "-f", self.rule(name))

    def in_sync(self):
        items = json.loads(self.weft("proxy", "status", "-o", "json", accept=(0, 1)).stdout)["items"]
        return len(items) == PROXIES and all(
            state["status"] in ("SYNCED", "NOT SENT", "IGNORED") for item in items for state in item["types"].values())

    def settle(self, *names):
        """Applies rules and waits until every proxy has taken them and requests routed by the old ones are done."""
        self.apply(*names)
        eventually(f"all {PROXIES} proxies have taken the change", self.in_sync)
        time.sleep(0.5)


# The promises. Each takes the mesh and the load on its page, and returns what to print; Failed says what broke.


def comes_up(mesh, _):
    mesh.everything()
    mesh.settle("edge.yaml", "reviews-versions.yaml", "reviews-all.yaml")
    eventually("the page answers through the gateway", lambda: http_get(mesh.gateway, "/productpage")[0] == 200)
    return f"http://127.0.0.1:{mesh.gateway}/productpage answers; {PROXIES} proxies in sync"


def splits(rule, share, requests):
    def check(mesh, load):
        mesh.settle(rule)
        load.pause = 0
        seen = load.until(requests)
        load.pause = 0.02
        load.expect_no_loss(seen)
        measured = 100 * seen["kinds"].get("v2", 0) / seen["requests"]
        expect(set(seen["kinds"]) <= {"v1", "v2"}, f"versions {seen['kinds']}")
        expect(abs(measured - share) <= 2, f"v2 had {measured:.1f} % of {seen['requests']}, not {share} ± 2")
        return f"v2 had {measured:.1f} % of {seen['requests']} requests"
    return check


def routes_by_header(mesh, load):
    mesh.settle("reviews-by-user.yaml")
    everybody = load.until(200)
    load.headers = {**load.headers, "end-user": "jason"}
    time.sleep(0.5)
    jason = load.until(200)
    load.headers = {name: value for name, value in load.headers.items() if name != "end-user"}
    time.sleep(0.5)
    load.expect_no_loss(jason)
    expect(set(jason["kinds"]) == {"v2"} and set(everybody["kinds"]) == {"v1"}, f"{everybody} {jason}")
    return f"jason saw v2 {jason['requests']} times, everybody else v1 {everybody['requests']} times"


def survives_a_kill(mesh, load):
    mesh.settle("reviews-all.yaml")
    before = load.until(300)
    expect(len(before["kinds"]) == 3, f"before the kill only {before['kinds']}")
    mark = load.mark()
    pid = pid_listening(mesh.ports["reviews-v3"])
    os.kill(pid, signal.SIGKILL)
    load.until(1000)
    killed = load.since(mark)
    load.expect_no_loss(killed)
    mesh.processes.pop("reviews-v3").wait(30)  # weft run ends with its program
    mesh.reviews("v3")
    eventually("the third version is back", lambda: load.until(50)["kinds"].get("v3"))
    load.expect_no_loss(load.since(mark))
    return f"killed process {pid}; 0 of {killed['requests']} requests failed; v3 is back"


def survives_an_outage(mesh, load):
    mark = load.mark()
    mesh.stop("control", signal.SIGKILL)
    time.sleep(10)
    mesh.control()
    eventually(f"{PROXIES} proxies are connected again and in sync", mesh.in_sync, 60)
    time.sleep(1)
    seen = load.since(mark)
    load.expect_no_loss(seen, closed=0)
    return f"control plane killed, away for 10 s; 0 of {seen['requests']} requests failed; {PROXIES} proxies back in sync"


def survives_a_storm(mesh, load):
    mark = load.mark()
    rules = ["reviews-90-10.yaml", "reviews-50-50.yaml", "reviews-by-user.yaml", "reviews-all.yaml"]
    for number in range(50):
        mesh.apply(rules[number % len(rules)])
    mesh.settle()
    time.sleep(0.5)
    seen = load.since(mark)
    load.expect_no_loss(seen, closed=0)
    return f"0 of {seen['requests']} requests failed, 0 connections closed"


def refuses_nonsense(mesh, load):
    mesh.settle("reviews-90-10.yaml")
    done = mesh.weft("apply", "-f", mesh.rule("invalid.yaml"), accept=(1,))
    message = next((line.strip() for line in done.stdout.splitlines() if "spec.http[0].route[0].weight" in line), None)
    expect(message, f"no field path in: {done.stdout}{done.stderr}")
    seen = load.until(1000)
    load.expect_no_loss(seen)
    expect(set(seen["kinds"]) == {"v1", "v2"}, f"versions {seen['kinds']}")
    return f"refused with '{message}'; traffic unchanged"


PROMISES = [
    ("traffic split 90/10", splits("reviews-90-10.yaml", 10, 6000)),
    ("traffic split 50/50", splits("reviews-50-50.yaml", 50, 10000)),
    ("route by header", routes_by_header),
    ("kill one reviews instance", survives_a_kill),
    ("control plane outage", survives_an_outage),
    ("50 route changes under load", survives_a_storm),
    ("invalid rule", refuses_nonsense),
]


def check(name, promise, mesh, load):
    """Prints one line; whether the promise was kept."""
    started = time.monotonic()
    try:
        detail, kept = promise(mesh, load), True
    except (AssertionError, OSError, subprocess.SubprocessError, KeyError, ValueError) as error:
        detail, kept = f"{'' if isinstance(error, Failed) else type(error).__name__ + ': '}{error}", False
    print(f"{'ok  ' if kept else 'FAIL'}  {name}: {detail}  [{time.monotonic() - started:.1f} s]", flush=True)
    return kept


def interrupted(*_):
    raise KeyboardInterrupt


def main():
    # Whoever ends this ends all that it has started.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    mesh, load, kept = Mesh(), None, []
    print("weft demo: a control plane, a gateway and six workloads, each beside its sidecar, on loopback; about a minute", flush=True)
    try:
        kept.append(check("mesh up", comes_up, mesh, None))
        if kept[0]:
            load = Load(mesh.gateway, "/productpage", {"Host": "bookstore.example"}, lambda body: json.loads(body)["reviews"]["version"])
            print("      from here on eight clients ask for the page without a break", flush=True)
            kept += [check(name, promise, mesh, load) for name, promise in PROMISES]
    except KeyboardInterrupt:
        kept.append(False)
    if load:
        load.stop()
    if not all(kept):
        mesh.print_logs(8)
    if os.environ.get("KEEP") == "1":
        keep(mesh)
    else:
        mesh.stop_all()
    print(f"{sum(kept)} passed, {len(kept) - sum(kept)} failed", flush=True)
    sys.exit(0 if all(kept) else 1)


def keep(mesh):
    """What a person can do with what is left running."""
    print(f"""
left running, to look at:
  the page          http://127.0.0.1:{mesh.gateway}/productpage   (reload it: the reviews come from v1, one time in ten from v2)
  the API           http://127.0.0.1:{mesh.api}/api/v1/services
  by command line   export WEFT_CONTROL=http://127.0.0.1:{mesh.api} PATH={BIN}:$PATH
                    weft proxy status
                    weft get virtualservice reviews -o yaml
                    weft apply -f {HERE}/rules/reviews-50-50.yaml
  the logs          {mesh.directory}
  to stop it all    kill {' '.join(str(p.pid) for p in mesh.processes.values())}; rm -r {mesh.directory}
""")


def pid_listening(port):
    """The process that listens on a loopback port, from /proc."""
    wanted = f"0100007F:{port:04X}"
    inodes = {line.split()[9] for line in open("/proc/net/tcp").read().splitlines()[1:]
              if line.split()[1] == wanted and line.split()[3] == "0A"}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            for link in (entry / "fd").iterdir():
                with contextlib.suppress(OSError):
                    match = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(link))
                    if match and match.group(1) in inodes:
                        return int(entry.name)
    raise Failed(f"nobody listens on {port}")


if __name__ == "__main__":
    main()
