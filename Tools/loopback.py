"""Programs on loopback, for the demonstration, the partner cases and the benchmarks: free ports, waiting, processes with a log each that
are ended by their ids, and load that keeps every failure. Nothing here knows the mesh."""
import contextlib, http.client, os, pathlib, random, shutil, signal, socket, subprocess, tempfile, threading, time

ROOT = pathlib.Path(__file__).resolve().parents[1]
BIN = pathlib.Path(os.environ.get("WEFT_BIN", ROOT / ".build" / "release"))
PARTNERS = pathlib.Path(os.environ.get("WEFT_PARTNERS", pathlib.Path.home() / ".cache" / "weft-partners"))


class Failed(AssertionError):
    """What was promised did not happen."""


def expect(condition, text):
    if not condition:
        raise Failed(text)


def free_ports(count):
    """Ports that nobody listens on, from below the range that the kernel takes for outgoing connections: one of those must not
    take a port between here and the program that is to listen on it."""
    try:
        below = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        below = 32768
    ports = []
    while len(ports) < count:
        port = random.randrange(10000, max(below, 11000))
        # What is compared has its ports taken out: one that is also a time or a size (15000) would take that with it.
        if port % 500 == 0 or port == 16384:
            continue
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports


def free_port():
    return free_ports(1)[0]


def eventually(what, condition, seconds=30):
    """Waits until `condition()` is true and returns its value; says what was waited for when it is not."""
    deadline = time.monotonic() + seconds
    last = None
    while time.monotonic() < deadline:
        try:
            value = condition()
            if value:
                return value
        except (OSError, http.client.HTTPException, subprocess.SubprocessError, ValueError, KeyError) as error:
            last = error
        time.sleep(0.05)
    raise Failed(f"after {seconds} s still not: {what}" + (f" ({last})" if last else ""))


def listens(port, address="127.0.0.1"):
    with contextlib.suppress(OSError), socket.create_connection((address, port), 0.3):
        return True
    return False


def http_get(port, path="/", host="127.0.0.1", headers=None, method="GET", body=None, timeout=10, address="127.0.0.1"):
    """One request on a connection of its own: (status, body, headers)."""
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers={"Host": host, **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace"), dict(answer.getheaders())
    finally:
        connection.close()


class Processes:
    """A temporary directory and what runs in it: `start`, `stop`, `stop_all`; `log(name)` is what a process has said."""

    def __init__(self, prefix, environment=None):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=prefix))
        self.environment = {**os.environ, **(environment or {})}
        self.processes = {}

    def start(self, name, *words, port=None, env=None, seconds=30, **options):
        """With `port`, waits until something listens there. Further options are Popen's."""
        with open(self.directory / f"{name}.log", "ab") as log:
            process = subprocess.Popen([str(w) for w in words], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       env={**self.environment, **(env or {})}, start_new_session=True, **options)
        self.processes[name] = process
        if port is not None:
            def up():
                expect(process.poll() is None, f"{name} ended with {process.returncode} before it listened on {port}")
                return listens(port)
            eventually(f"{name} listens on {port}", up, seconds)
        return process

    def stop(self, name, with_signal=signal.SIGTERM, seconds=20):
        """Returns the exit code."""
        process = self.processes.pop(name)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(with_signal)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
            raise

    def stop_all(self, seconds=10):
        """Asks all of them to end at once, kills what has not after `seconds`, and removes the directory."""
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
                process.send_signal(signal.SIGCONT)  # one that a case has stopped cannot end
        deadline = time.monotonic() + seconds
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            if process.poll() is None:
                process.kill()
                process.wait(5)
        self.processes.clear()
        shutil.rmtree(self.directory, ignore_errors=True)

    def log(self, name):
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def print_logs(self, lines=12):
        """The end of every log, for whoever has to find out why."""
        for path in sorted(self.directory.rglob("*.log")):
            tail = path.read_text(errors="replace").splitlines()[-lines:]
            if tail:
                print(f"--- {path.relative_to(self.directory)}", *tail, sep="\n", flush=True)

    def write(self, name, text):
        path = self.directory / name
        path.write_text(text)
        return path


class Load:
    """Closed-loop clients on keep-alive connections, counting from the first answer.

    Every failure and every connection that the other side closed is kept. `kind(body)` names what an answer counts as in `kinds`; `headers`
    and `pause` (seconds between two requests of a client) may be changed while it runs."""

    def __init__(self, port, path="/", headers=None, kind=None, clients=8, pause=0.02, address="127.0.0.1"):
        self.port, self.path, self.headers, self.kind = port, path, dict(headers or {}), kind or (lambda body: body.decode())
        self.address, self.pause, self.stopping, self.lock = address, pause, False, threading.Lock()
        self.requests, self.failures, self.closed, self.kinds = 0, [], 0, {}
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def _run(self):
        connection = None
        while not self.stopping:
            try:
                if connection is None:
                    connection = http.client.HTTPConnection(self.address, self.port, timeout=20)
                    connection.connect()
                connection.request("GET", self.path, headers=self.headers)
                answer = connection.getresponse()
                body = answer.read()
                expect(answer.status == 200, f"{answer.status} {body[:300]!r}")
                kind = self.kind(body)
                with self.lock:
                    self.requests += 1
                    self.kinds[kind] = self.kinds.get(kind, 0) + 1
                    self.closed += answer.will_close
                if answer.will_close:
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
            return {"requests": self.requests, "failures": len(self.failures), "closed": self.closed, "kinds": dict(self.kinds)}

    def since(self, mark):
        """What happened after `mark`: {requests, failures, closed, kinds}."""
        now = self.mark()
        kinds = {k: n - mark["kinds"].get(k, 0) for k, n in now.pop("kinds").items()}
        return {**{k: n - mark[k] for k, n in now.items()}, "kinds": {k: n for k, n in kinds.items() if n}}

    def until(self, requests, seconds=120):
        mark = self.mark()
        eventually(f"{requests} more requests", lambda: self.since(mark)["requests"] >= requests, seconds)
        return self.since(mark)

    def expect_no_loss(self, seen, closed=None):
        """No request of `seen` failed and, where `closed` is given, not more connections than that were closed."""
        expect(not seen["failures"], f"{seen['failures']} of {seen['requests']} requests failed, the last: {(self.failures or [''])[-1]}")
        expect(closed is None or seen["closed"] <= closed, f"{seen['closed']} connections were closed")

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join(25)
