#!/usr/bin/env python3
"""The bookstore behind sidecars, under steady load, while everything around it changes.

Starts a control plane, a gateway and six workloads with sidecars, then checks one promise after another and prints each. Ends with the
line `N passed, 0 failed`. KEEP=1 in the environment leaves everything running at the end and prints what to open.
"""
import contextlib, http.client, json, os, pathlib, re, shutil, signal, socket, subprocess, sys, tempfile, threading, time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BIN = pathlib.Path(os.environ.get("WEFT_BIN", ROOT / ".build" / "release"))
SERVICE_PORT = 9080  # what clients of every service say, whatever port its instances really listen on


class Failed(Exception):
    pass


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def eventually(what, condition, seconds=30):
    """Waits until `condition()` is true; says what was waited for when it is not."""
    deadline = time.monotonic() + seconds
    last = None
    while time.monotonic() < deadline:
        try:
            value = condition()
            if value:
                return value
        except (OSError, http.client.HTTPException, subprocess.SubprocessError, ValueError) as error:
            last = error
        time.sleep(0.05)
    raise Failed(f"after {seconds} s still not: {what}" + (f" ({last})" if last else ""))


class Load:
    """Closed-loop clients on keep-alive connections. Every failure and every connection that the mesh closed is kept."""

    def __init__(self, port, clients=8, pause=0.02):
        self.port, self.pause, self.user = port, pause, None
        self.lock = threading.Lock()
        self.stopping = False
        self.requests, self.failures, self.closed, self.versions = 0, [], 0, {}
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def _run(self):
        connection = None
        while not self.stopping:
            headers = {"Host": "bookstore.example"}
            if self.user:
                headers["end-user"] = self.user
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
                    connection.connect()
                connection.request("GET", "/productpage", headers=headers)
                answer = connection.getresponse()
                body = answer.read()
                closing = answer.will_close
                if answer.status != 200:
                    raise ValueError(f"{answer.status} {body[:300]!r}")
                version = json.loads(body)["reviews"]["version"]
                with self.lock:
                    self.requests += 1
                    self.versions[version] = self.versions.get(version, 0) + 1
                if closing:
                    with self.lock:
                        self.closed += 1
                    connection.close()
                    connection = None
            except Exception as error:  # every way a request can fail counts
                if self.stopping:
                    return
                with self.lock:
                    self.failures.append(f"{time.strftime('%H:%M:%S')} {type(error).__name__}: {error}")
                    self.closed += 1
                if connection:
                    connection.close()
                connection = None
                time.sleep(0.05)
            if self.pause:
                time.sleep(self.pause)

    def mark(self):
        with self.lock:
            return {"requests": self.requests, "failures": len(self.failures), "closed": self.closed,
                    "versions": dict(self.versions)}

    def since(self, mark):
        now = self.mark()
        versions = {v: n - mark["versions"].get(v, 0) for v, n in now["versions"].items()}
        return {"requests": now["requests"] - mark["requests"], "failures": now["failures"] - mark["failures"],
                "closed": now["closed"] - mark["closed"], "versions": {v: n for v, n in versions.items() if n}}

    def until(self, requests, seconds=120):
        mark = self.mark()
        eventually(f"{requests} more requests", lambda: self.since(mark)["requests"] >= requests, seconds)
        return self.since(mark)

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join(25)


class Mesh:
    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="weft-demo-"))
        self.api, self.xds, self.gateway, self.page, self.details, self.ratings, self.a, self.b, self.c, self.d = free_ports(10)
        self.processes = {}
        self.passed = self.failed = 0
        self.environment = {**os.environ, "WEFT_CONTROL": f"http://127.0.0.1:{self.api}", "WEFT_XDS": f"127.0.0.1:{self.xds}",
                            "WEFT_STATE": str(self.directory / "state"), "NO_COLOR": "1"}

    # Processes, each with a log and ended by its id.

    def start(self, name, *words):
        log = open(self.directory / f"{name}.log", "ab")
        self.processes[name] = subprocess.Popen([str(w) for w in words], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                env=self.environment, start_new_session=True)
        return self.processes[name]

    def stop(self, name, with_signal=signal.SIGTERM, seconds=20):
        process = self.processes.pop(name)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(with_signal)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait(5)

    def stop_all(self):
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        for name in list(self.processes):
            self.stop(name)
        shutil.rmtree(self.directory, ignore_errors=True)

    def control(self):
        ready = self.directory / "ready"
        ready.unlink(missing_ok=True)
        self.start("control", BIN / "weft", "up", "--api-address", f"127.0.0.1:{self.api}", "--xds-address",
                   f"127.0.0.1:{self.xds}", "--data-dir", self.directory / "store", "--ready-file", ready)
        eventually("the control plane serves", ready.exists)

    def workload(self, name, service, port, command, version="v1", upstreams=()):
        words = [BIN / "weft", "run", "--service", service, "--version", version, "--port", port, "--service-port", SERVICE_PORT,
                 "--drain-seconds", "2"]
        for upstream in upstreams:
            words += ["--upstreams", upstream]
        self.start(name, *words, "--", BIN / "bookstore", command, "--port", port)

    def reviews(self, version, port):
        self.workload(f"reviews-{version}", "reviews", port, "reviews", version, [f"ratings:{SERVICE_PORT}"])

    # The command line, as a person uses it.

    def weft(self, *words, accept=(0,)):
        done = subprocess.run([str(BIN / "weft"), *map(str, words)], env=self.environment, capture_output=True, text=True, timeout=60)
        if done.returncode not in accept:
            raise Failed(f"weft {' '.join(map(str, words))} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def rule(self, name):
        text = (HERE / "rules" / name).read_text().replace("@GATEWAY_PORT@", str(self.gateway))
        path = self.directory / name
        path.write_text(text)
        return path

    def apply(self, name):
        self.weft("apply", "-f", self.rule(name))

    def proxies(self):
        return json.loads(self.weft("proxy", "status", "-o", "json", accept=(0, 1)).stdout)["items"]

    def all_in_sync(self, count):
        items = self.proxies()
        return len(items) == count and all(t["status"] in ("SYNCED", "NOT SENT", "IGNORED")
                                           for item in items for t in item["types"].values())

    def settle(self):
        eventually("every proxy has taken the change", lambda: self.all_in_sync(7))

    def check(self, name, body):
        started = time.monotonic()
        try:
            detail, good = body(), True
        except (Failed, AssertionError, OSError, subprocess.SubprocessError, KeyError, ValueError) as error:
            detail, good = f"{type(error).__name__}: {error}" if not isinstance(error, Failed) else str(error), False
        self.passed += good
        self.failed += not good
        print(f"{'ok  ' if good else 'FAIL'}  {name}: {detail}  [{time.monotonic() - started:.1f} s]", flush=True)


def expect(condition, text):
    if not condition:
        raise Failed(text)


def no_loss(load, seen):
    if seen["failures"]:
        raise Failed(f"{seen['failures']} of {seen['requests']} requests failed, the last: {load.failures[-1]}")


def main():
    mesh = Mesh()
    load = None
    print("weft demo: control plane, gateway, six workloads with sidecars", flush=True)
    try:
        mesh.control()
        mesh.workload("ratings", "ratings", mesh.ratings, "ratings")
        mesh.workload("details", "details", mesh.details, "details")
        versions = dict(zip(("v1", "v2", "v3"), (mesh.a, mesh.b, mesh.c)))
        for version, port in versions.items():
            mesh.reviews(version, port)
        mesh.workload("page", "page", mesh.page, "page",
                      upstreams=[f"details:{SERVICE_PORT}", f"reviews:{SERVICE_PORT}"])
        mesh.start("gateway", BIN / "weft", "run", "--gateway", "bookstore")

        def up():
            mesh.apply("base.yaml")
            mesh.apply("reviews-all.yaml")
            mesh.settle()

            def answered():
                connection = http.client.HTTPConnection("127.0.0.1", mesh.gateway, timeout=5)
                connection.request("GET", "/productpage")
                answer = connection.getresponse()
                answer.read()
                return answer.status == 200
            eventually("the page answers through the gateway", answered)
            return f"http://127.0.0.1:{mesh.gateway}/productpage answers; 7 proxies in sync"
        mesh.check("up", up)
        if mesh.failed:
            raise Failed("the mesh did not come up")
        load = Load(mesh.gateway)

        def split(rule, share, requests):
            def body():
                mesh.apply(rule)
                mesh.settle()
                time.sleep(0.5)  # requests routed by the old rule finish
                load.pause = 0
                seen = load.until(requests)
                load.pause = 0.02
                no_loss(load, seen)
                measured = 100 * seen["versions"].get("v2", 0) / seen["requests"]
                expect(set(seen["versions"]) <= {"v1", "v2"}, f"versions {seen['versions']}")
                expect(abs(measured - share) <= 2, f"v2 had {measured:.1f} % of {seen['requests']}, not {share} ± 2")
                return f"v2 had {measured:.1f} % of {seen['requests']} requests"
            return body
        mesh.check("split 90/10", split("reviews-90-10.yaml", 10, 6000))
        mesh.check("split 50/50", split("reviews-50-50.yaml", 50, 10000))

        def by_user():
            mesh.apply("reviews-by-user.yaml")
            mesh.settle()
            time.sleep(0.5)
            everybody = load.until(200)
            load.user = "jason"
            time.sleep(0.5)
            jason = load.until(200)
            load.user = None
            time.sleep(0.5)
            no_loss(load, jason)
            expect(set(jason["versions"]) == {"v2"} and set(everybody["versions"]) == {"v1"}, f"{everybody} {jason}")
            return f"jason saw v2 {jason['requests']} times, everybody else v1 {everybody['requests']} times"
        mesh.check("route by header", by_user)

        def kill():
            mesh.apply("reviews-all.yaml")
            mesh.settle()
            time.sleep(0.5)
            before = load.until(300)
            expect(len(before["versions"]) == 3, f"before the kill only {before['versions']}")
            mark = load.mark()
            pid = pid_listening(versions["v3"])
            os.kill(pid, signal.SIGKILL)
            load.until(1000)
            seen = load.since(mark)
            no_loss(load, seen)
            mesh.processes.pop("reviews-v3").wait(30)
            mesh.reviews("v3", versions["v3"])
            eventually("the third version is back", lambda: load.until(50)["versions"].get("v3"))
            no_loss(load, load.since(mark))
            return f"killed process {pid}; 0 of {seen['requests']} requests failed; v3 is back"
        mesh.check("kill one reviews instance", kill)

        def outage():
            mark = load.mark()
            mesh.stop("control", signal.SIGKILL)
            time.sleep(10)
            mesh.control()
            eventually("7 proxies are connected again and in sync", lambda: mesh.all_in_sync(7), 60)
            time.sleep(1)
            seen = load.since(mark)
            no_loss(load, seen)
            expect(seen["closed"] == 0, f"{seen['closed']} connections were closed")
            return f"control plane away for 10 s; 0 of {seen['requests']} requests failed; 7 proxies back in sync"
        mesh.check("control plane outage", outage)

        def storm():
            mark = load.mark()
            for number in range(50):
                mesh.apply(["reviews-90-10.yaml", "reviews-50-50.yaml", "reviews-by-user.yaml", "reviews-all.yaml"][number % 4])
            mesh.settle()
            time.sleep(1)
            seen = load.since(mark)
            no_loss(load, seen)
            expect(seen["closed"] == 0, f"{seen['closed']} connections were closed")
            return f"0 of {seen['requests']} requests failed, 0 connections closed"
        mesh.check("50 route changes under load", storm)

        def invalid():
            mesh.apply("reviews-90-10.yaml")
            mesh.settle()
            time.sleep(0.5)
            done = mesh.weft("apply", "-f", mesh.rule("invalid.yaml"), accept=(1,))
            message = next((l.strip() for l in done.stdout.splitlines() if "spec.http[0].route[0].weight" in l), None)
            expect(message, f"no field path in: {done.stdout}{done.stderr}")
            seen = load.until(1000)
            no_loss(load, seen)
            expect(set(seen["versions"]) == {"v1", "v2"}, f"versions {seen['versions']}")
            return f"refused with '{message}'; traffic unchanged"
        mesh.check("invalid rule", invalid)
    except Failed as error:
        mesh.failed += not mesh.failed
        print(f"FAIL  {error}", flush=True)
    except KeyboardInterrupt:
        mesh.failed += 1
    finally:
        if load:
            load.stop()
    if mesh.failed:
        for path in sorted(mesh.directory.rglob("*.log")):
            tail = path.read_text(errors="replace").splitlines()[-8:]
            if tail:
                print(f"--- {path.relative_to(mesh.directory)}", *tail, sep="\n")
    if os.environ.get("KEEP") == "1":
        print(f"\nleft running: http://127.0.0.1:{mesh.gateway}/productpage   logs: {mesh.directory}")
        print(f"  export WEFT_CONTROL=http://127.0.0.1:{mesh.api} PATH={BIN}:$PATH; weft proxy status; weft get vs -A")
        print(f"  stop everything: kill {' '.join(str(p.pid) for p in mesh.processes.values())}")
    else:
        mesh.stop_all()
    print(f"{mesh.passed} passed, {mesh.failed} failed", flush=True)
    sys.exit(1 if mesh.failed else 0)


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
