"""What the benchmark and its gates share: building the C peers, starting proxies pinned to a core, and counting what they cost.

CPU per request is the sum of run time in /proc/PID/task/*/schedstat over a proxy's threads and children, divided by the requests the load
generator counted. It does not depend on how fast the load generator is, and noise of the machine hits all proxies of a round alike.
"""
import contextlib, ctypes, glob, mmap, os, pathlib, re, shutil, signal, socket, struct, subprocess, sys, tempfile, time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "Tools"))
from loopback import BIN, PARTNERS, ROOT, free_port  # noqa: F401 - run.py takes ROOT from here

CORES = sorted(os.sched_getaffinity(0))
LOAD_CORE, PROXY_CORE = str(CORES[0]), str(CORES[-1])
HEADERS = [
    "Host: svc-a.mesh.local", "User-Agent: loadgen/1.0", "Accept: */*", "Accept-Encoding: gzip, br",
    "X-Request-Id: 7f9d4e2c-53b1-4c1e-9a55-0c6f3a7f1b2d",
    "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "Authorization: Bearer abcdefghijklmnopqrstuvwxyz0123456789", "Content-Type: application/json",
]


def wait_for(port, process, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        if process.poll() is not None:
            raise RuntimeError(f"{process.args} ended with {process.returncode} before it listened on {port}")
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on {port} after {seconds} s")


def build_peers(directory):
    for name in ("backend", "relay", "idle"):
        subprocess.run(["cc", "-O2", "-Wall", "-o", directory / name, HERE / "peers" / f"{name}.c"], check=True)
    subprocess.run(["cc", "-O2", "-Wall", "-shared", "-fPIC", "-o", directory / "allocations.so",
                    HERE / "peers" / "allocations.c", "-ldl"], check=True)


class Lab:
    """Processes on loopback, each with a log file, all ended by id when the `with` block ends."""

    def __enter__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="weft-bench-"))
        self.processes = []
        build_peers(self.directory)
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 3
        for process in self.processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self, name, command, port, core, env=None):
        log = open(self.directory / f"{name}-{port}.log", "w")
        process = subprocess.Popen(["taskset", "-c", core, *map(str, command)], stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log, env={**os.environ, **(env or {})})
        self.processes.append(process)
        try:
            wait_for(port, process)
        except RuntimeError:
            sys.stderr.write((self.directory / f"{name}-{port}.log").read_text()[-3000:])
            raise
        return process

    def backend(self, body_bytes):
        port = free_port()
        return port, self.start("backend", [self.directory / "backend", port, body_bytes], port, LOAD_CORE)

    def grpc_backend(self):
        port = free_port()
        root = self.directory / "www"
        root.mkdir(exist_ok=True)
        return port, self.start("nghttpd", ["nghttpd", "--no-tls", "--echo-upload", "--trailer=grpc-status:0", "-d", root,
                                            "-m", "1024", port], port, LOAD_CORE)

    def config(self, template, name, values):
        text = (HERE / "configs" / template).read_text()
        for key, value in values.items():
            text = text.replace(f"@{key}@", str(value))
        path = self.directory / name
        path.write_text(text)
        return path

    def proxy(self, kind, backend, grpc=9, http2=False, env=None, wrapper=(), directory=None, filters=None):
        """Starts proxy `kind` in front of `backend`, with the HTTP filters of a file in configs/ if one is named; returns (port, process).
        `other` is the weft-proxy of another build, in `directory`."""
        port, admin = free_port(), free_port()
        values = {"PORT": port, "ADMIN": admin, "BACKEND": backend, "GRPC": grpc, "DIR": self.directory,
                  "HTTP2": "http2" if http2 else "", "PROTO": "proto h2" if http2 else "",
                  "FILTERS": (HERE / "configs" / f"{filters}.yaml.in").read_text() if filters else ""}
        if kind == "relay":
            command = [self.directory / "relay", port, backend]
        elif kind == "nginx":
            values["DIR"] = self.directory / f"nginx-{port}"
            values["DIR"].mkdir()
            command = ["nginx", "-p", values["DIR"], "-c", self.config("nginx.conf.in", f"nginx-{port}.conf", values)]
        elif kind == "haproxy":
            command = ["haproxy", "-db", "-f", self.config("haproxy.cfg.in", f"haproxy-{port}.cfg", values)]
        elif kind == "envoy":
            command = [PARTNERS / "venv" / "bin" / "envoy", "-c", self.config("envoy.yaml.in", f"envoy-{port}.yaml", values),
                       "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warn"]
        elif kind in ("weft", "other"):
            command = [*wrapper, pathlib.Path(directory or BIN) / "weft-proxy", "-c", self.config("envoy.yaml.in", f"weft-{port}.yaml", values),
                       "--concurrency", "1", "--log-level", "warn"]
        else:
            raise ValueError(kind)
        return port, self.start(kind, command, port, PROXY_CORE, env)


def family(pid):
    pids = [pid]
    for path in glob.glob(f"/proc/{pid}/task/*/children"):
        with contextlib.suppress(OSError):
            for child in open(path).read().split():
                pids += family(int(child))
    return pids


def cpu_nanoseconds(pid):
    total = 0
    for member in family(pid):
        for path in glob.glob(f"/proc/{member}/task/*/schedstat"):
            with contextlib.suppress(OSError):
                total += int(open(path).read().split()[0])
    return total


def resident_kilobytes(pid):
    total = 0
    for member in family(pid):
        match = re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{member}/status").read())
        total += int(match.group(1)) if match else 0
    return total


def wrk(port, connections, seconds, path="/api/x"):
    command = ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    for header in HEADERS:
        command += ["-H", header]
    out = subprocess.run([*command, f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True).stdout
    bad = re.search(r"Non-2xx.*|Socket errors.*", out)
    if bad:
        raise RuntimeError(f"wrk against {port}: {bad.group(0)}")
    return int(re.search(r"(\d+) requests in", out).group(1)), float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))


def one_by_one(port, requests, path="/api/x"):
    """Sends `requests` over one connection, each after the answer to the last: the same work on every run, for counting instructions."""
    message = "\r\n".join([f"GET {path} HTTP/1.1", *HEADERS, "", ""]).encode()
    with socket.create_connection(("127.0.0.1", port), 10) as s:
        s.settimeout(30)
        rest = b""
        for number in range(requests):
            s.sendall(message)
            while b"\r\n\r\n" not in rest:
                rest += receive(s)
            head, rest = rest.split(b"\r\n\r\n", 1)
            length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
            if not head.startswith(b"HTTP/1.1 200") or not length:
                raise RuntimeError(f"request {number + 1} was answered {head[:200]}")
            while len(rest) < int(length.group(1)):
                rest += receive(s)
            rest = rest[int(length.group(1)):]


def receive(s):
    got = s.recv(65536)
    if not got:
        raise RuntimeError("the proxy closed the connection")
    return got


def h2load(port, requests, clients=4, streams=16, path="/api/x", data=None, headers=()):
    command = ["taskset", "-c", LOAD_CORE, "h2load", "-n", str(requests), "-c", str(clients), "-m", str(streams), "-t1"]
    if data:
        command += ["-d", str(data)]
    for header in (*headers, ":authority: svc-a.mesh.local"):
        command += ["-H", header]
    out = subprocess.run([*command, f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True).stdout
    done = re.search(r"requests: (\d+) total, \d+ started, \d+ done, (\d+) succeeded, (\d+) failed, (\d+) errored", out)
    if not done or done.group(2) != done.group(1):
        raise RuntimeError(f"h2load against {port}: {out[-800:]}")
    # A proxy that answers by itself would look fast: every answer must carry what was sent.
    carried = int(re.search(r"\((\d+)\) data", out).group(1))
    if data and carried < requests * pathlib.Path(data).stat().st_size:
        raise RuntimeError(f"h2load against {port}: only {carried} bytes came back from {requests} requests")
    return int(done.group(2)), float(re.search(r"finished in [^,]+, ([\d.]+) req/s", out).group(1))


REFERENCE = re.compile(r"^swift_(?:(?:bridgeObject|unknownObject)?(?:[Rr]etain|[Rr]elease)|weakLoadStrong)")


def callgrind_counts(text):
    """Of a callgrind file: instructions, those of the timer wheel, which go by the clock, and calls that take or give up a reference."""
    names, function, called, references, by_clock, inclusive = {}, "", "", 0, 0, False
    for line in text.splitlines():
        match = re.match(r"(c?)fn=\((\d+)\)(?: (.*))?", line)
        if match:
            name = names.setdefault(match.group(2), match.group(3) or "")
            function, called = (function, name) if match.group(1) else (name, called)
        elif line.startswith("calls="):
            references += int(line[6:].split()[0]) if REFERENCE.match(called) else 0
            inclusive = True
        elif line[:1] in set("0123456789+-*"):
            # The line behind a call is what the called function cost.
            if not inclusive and "TimerWheel" in function:
                by_clock += int(line.split()[-1])
            inclusive = False
    return int(re.search(r"^(?:summary|totals): (\d+)", text, re.M).group(1)), by_clock, references


class AllocationCounter:
    def __init__(self, lab):
        self.path = lab.directory / "allocations"
        self.path.write_bytes(bytes(8))
        self.env = {"LD_PRELOAD": str(lab.directory / "allocations.so"), "WEFT_ALLOCATIONS": str(self.path)}

    def value(self):
        return struct.unpack("<Q", self.path.read_bytes())[0]
