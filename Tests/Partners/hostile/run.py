#!/usr/bin/env python3
"""Hostile traffic against a live weft-proxy: clients and servers that do anything at any moment, configurations that change in between, and
innocents who must not notice. Every choice follows from the seed, the round and the number of a peer; in which order the peers meet does not.

  run.py [--rounds N] [--seconds S] [--seed K] [--proxy PATH] [--clients N] [--readers N]

After each round it judges: the process lives and has not trapped, every innocent request was answered, whole and in time, honest servers saw nothing
but whole messages, no connection or request is left, no descriptor, no worker is busy, memory is bounded. At last `--readers` clients
read 3 MB each, slowly; a minute later the memory must be back. The first failure ends the run and tells how to see it again."""
import argparse, collections, json, multiprocessing, os, pathlib, random, re, shutil, signal, socket, struct, subprocess, sys, threading, time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[2] / "Tools")]
import config, innocents  # noqa: E402
from loopback import BIN, Failed, Processes, eventually, expect, free_ports, http_get, listens  # noqa: E402

HOSTILE = ("h1", "h2", "h1-tls", "h2-tls", "raw")
MEMORY_GROWTH_MB = 40
READERS_LEAVE_MB = 20
TRAPS = re.compile(r"Fatal error|Precondition failed|Assertion failed|\*\*\* |Illegal instruction|AddressSanitizer|runtime error")


def hostile(seed, sockets, ports, certificate, count, seconds, story, results):
    """A process of hostile peers, for one round."""
    import clients, servers
    threading.stack_size(256 << 10)
    stop = threading.Event()
    lock = threading.Lock()
    with open(story, "w") as out:
        def tell(line):
            with lock:
                out.write(f"{time.time():.3f} {line}\n")
                out.flush()

        there = servers.Servers(seed, sockets, stop, certificate)
        here = clients.Clients(seed, ports, stop, count, tell)
        time.sleep(seconds)
        stop.set()
        deadline = time.monotonic() + 8
        for thread in here.threads:
            thread.join(max(0, deadline - time.monotonic()))
        results.send((here.attacks, there.accepted))
    os._exit(0)  # what a thread still holds ends with the process


class Lab(Processes):
    def __init__(self, program, keep=None):
        super().__init__("weft-hostile-")
        self.program, self.keep = program, keep
        names = ("plain", "tls", "churn", "tcp", "admin", "dead")
        self.ports = dict(zip(names, free_ports(len(names))))
        self.sockets = {}
        for name in (*HOSTILE, "good-h1", "good-h2"):
            self.sockets[name] = socket.create_server(("127.0.0.1", 0), backlog=512)
        at = {name: sock.getsockname()[1] for name, sock in self.sockets.items()} | {"dead": self.ports["dead"]}
        self.certificate = self.directory / "cert.pem", self.directory / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost", "-keyout", str(self.certificate[1]), "-out", str(self.certificate[0])],
                       check=True, capture_output=True)
        self.config = config.Configuration(self.directory, at, self.ports, *self.certificate)
        self.context = multiprocessing.get_context("fork")
        self.commands, theirs = self.context.Pipe()
        good = {"h1": self.sockets["good-h1"], "h2": self.sockets["good-h2"]}
        self.honest = self.context.Process(target=innocents.main, args=(good, self.ports, theirs), daemon=True)
        self.honest.start()

    def start_proxy(self, seed):
        self.config.all(random.Random(seed), seed)
        path = self.write("bootstrap.json", json.dumps(self.config.bootstrap(self.ports["admin"])))
        self.proxy = self.start("proxy", self.program, "-c", path, "--concurrency", "2", "--log-level", "error", port=self.ports["plain"],
                                env={"SWIFT_BACKTRACE": "enable=no"})
        self.base = self.descriptors()

    # What is looked at

    def alive(self):
        code = self.proxy.poll()
        log = self.log("proxy")
        expect(code is None, f"the proxy has ended with {code}:\n{log[-3000:]}")
        trap = TRAPS.search(log)
        expect(not trap, f"the proxy's log says {log[trap.start():trap.start() + 500] if trap else ''}")

    def stats(self):
        status, text, _ = http_get(self.ports["admin"], "/stats", timeout=30)
        expect(status == 200, f"/stats answers {status}")
        return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)

    def left(self):
        """Gauges of connections and requests that are not at zero."""
        gauge = re.compile(r"(cx_active|rq_active|rq_pending_active|http[123]_active|tx_buffered|rx_buffered|active_faults)")
        return {n: v for n, v in self.stats().items() if gauge.search(n) and v != "0" and not n.startswith(("http.admin", "listener.admin"))}

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.proxy.pid}/fd"))

    def connections(self):
        """The proxy's sockets that do not listen: local and remote port, state, bytes queued each way."""
        inodes = set()
        for fd in pathlib.Path(f"/proc/{self.proxy.pid}/fd").iterdir():
            try:
                inodes.add(os.readlink(fd).removeprefix("socket:[").removesuffix("]"))
            except OSError:
                pass
        states = "- ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT1 FIN_WAIT2 TIME_WAIT CLOSE CLOSE_WAIT LAST_ACK LISTEN CLOSING".split()
        found = []
        for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
            words = line.split()
            if words[9] in inodes and states[int(words[3], 16)] != "LISTEN":
                local, remote = (int(w.split(":")[1], 16) for w in words[1:3])
                found.append(f"{local}-{remote} {states[int(words[3], 16)]} {words[4]}")
        return found

    def memory(self):
        for line in pathlib.Path(f"/proc/{self.proxy.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024

    def cpu(self):
        """Seconds of processor time, by thread."""
        times = {}
        for task in pathlib.Path(f"/proc/{self.proxy.pid}/task").iterdir():
            words = (task / "stat").read_text().rsplit(") ", 1)[1].split()
            times[task.name] = (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
        return times

    def idle(self, seconds=2):
        before = self.cpu()
        time.sleep(seconds)
        busy = {name: time_ - before.get(name, 0) for name, time_ in self.cpu().items()}
        return max(busy.values()) / seconds

    # A round

    def round(self, number, seed, seconds, count):
        mark = f"{seed}/{number}"
        self.config.all(random.Random(f"{mark}/config"), mark)
        time.sleep(1)  # the files are read 50 ms after they change
        self.alive()
        self.commands.send("begin")
        ours, theirs = self.context.Pipe()
        story = self.directory / f"story-{number}.txt"
        peers = self.context.Process(target=hostile, args=(
            mark, {n: self.sockets[n] for n in HOSTILE}, self.ports, self.certificate, count, seconds, story, theirs))
        peers.start()
        rng, changes = random.Random(f"{mark}/changes"), 0
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(rng.choice((0.05, 0.2, 0.5, 1)))
            self.config.change(rng, mark)
            changes += 1
            self.alive()
        attacks, accepted = ours.recv() if ours.poll(30) else (0, 0)
        peers.join(10)
        self.commands.send("end")
        if not self.commands.poll(60):
            os.kill(self.honest.pid, signal.SIGUSR1)
            raise Failed("the innocents do not end")
        seen = self.commands.recv()
        self.alive()
        wrong = seen["wrong"]
        expect(not wrong, "innocents were hurt:\n  " + "\n  ".join(wrong[:8]) + (f"\n  and {len(wrong) - 8} more" if len(wrong) > 8 else ""))
        expect(attacks > 0 and accepted > 0 and seen["asked"] > seconds, f"hardly anything happened: {attacks} attacks, {accepted} accepted, {seen}")
        self.drain_backlogs()
        try:
            eventually("every connection and request has ended", lambda: not self.left(), 40)
            eventually("every descriptor is closed", lambda: self.descriptors() <= self.base + 4, 20)
        except Failed as failure:
            raise Failed(f"{failure}: {self.left()}, {self.descriptors()} descriptors, {self.base} at the start; {self.connections()}; "
                         f"ports {self.ports}") from None
        refused = {n: v for n, v in self.stats().items() if n.endswith((".update_rejected", ".update_failure")) and v != "0"}
        expect(not refused, f"configurations were not taken: {refused}")
        busy = self.idle()
        expect(busy < 0.25, f"a thread is {busy:.0%} busy with nothing to do")
        memory = self.memory()
        if self.keep:
            pathlib.Path(self.keep).mkdir(exist_ok=True)
            (pathlib.Path(self.keep) / "stats.txt").write_text("".join(f"{n}: {v}\n" for n, v in sorted(self.stats().items())))
        print(f"round {number}: {attacks} attacks, {accepted} at hostile servers, {changes} changes; innocents: {seen['asked']} answers, the slowest after "
              f"{seen['slowest']:.2f} s; memory {memory:.1f} MB, {busy:.0%} busy at rest", flush=True)
        return memory

    def drain_backlogs(self):
        """What nobody has accepted any more."""
        for name in HOSTILE:
            self.sockets[name].settimeout(0.01)
            try:
                while True:
                    self.sockets[name].accept()[0].close()
            except OSError:
                pass

    def slow_readers(self, count, within=60):
        """Their answers fill what the proxy keeps for them; then half of them leave in order and half do not."""
        self.config.buffer = 1 << 20
        self.config.all(random.Random(1), "readers")
        time.sleep(1)
        before = self.memory()
        readers = []
        for n in range(count):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect(("127.0.0.1", self.ports["plain"]))
            s.sendall(b"GET /good-h%d/%d/3000000 HTTP/1.1\r\nhost: a\r\n\r\n" % (1 + n % 2, n))
            s.setblocking(False)
            readers.append(s)
        deadline, grown, most = time.monotonic() + 90, time.monotonic(), before
        while time.monotonic() < min(deadline, grown + 8):
            for s in readers:
                try:
                    s.recv(2000)
                except BlockingIOError:
                    pass
            if self.memory() > most + 0.5:
                most, grown = self.memory(), time.monotonic()
            time.sleep(0.05)
        for n, s in enumerate(readers):
            if n % 2:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
        started = time.monotonic()
        self.alive()
        eventually(f"memory within {READERS_LEAVE_MB} MB of {before:.1f} MB", lambda: self.memory() < before + READERS_LEAVE_MB, within)
        back = time.monotonic() - started
        eventually("every connection and request has ended", lambda: not self.left(), 40)
        print(f"{count} slow readers of 3 MB: {before:.1f} MB before, {most:.1f} MB at most, {self.memory():.1f} MB {back:.0f} s after", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=1, help="number of the first round")
    parser.add_argument("--clients", type=int, default=48)
    parser.add_argument("--readers", type=int, default=400)
    parser.add_argument("--proxy", default=str(BIN / "weft-proxy"))
    parser.add_argument("--keep", help="a directory for the statistics after each round, and for log and story when something fails")
    arguments = parser.parse_args()
    lab = Lab(arguments.proxy, arguments.keep)
    number, memory = 0, collections.deque()
    try:
        lab.start_proxy(f"{arguments.seed}/start")
        for number in range(arguments.first, arguments.first + arguments.rounds):
            memory.append(lab.round(number, arguments.seed, arguments.seconds, arguments.clients))
            # The first two rounds fill pools and tables.
            expect(len(memory) < 3 or memory[-1] <= memory[1] + MEMORY_GROWTH_MB, f"memory grows: {', '.join(f'{m:.1f}' for m in memory)} MB")
        if arguments.readers:
            lab.slow_readers(arguments.readers)
        lab.alive()
        lab.commands.send("over")
        expect(lab.stop("proxy") == 0, "the proxy does not end well")
    except Failed as failure:
        print(f"FAILED in round {number} of seed {arguments.seed} (--seed {arguments.seed} --first {number} --rounds 1): {failure}")
        for story in sorted(lab.directory.glob(f"story-{number}.txt")):
            print("the last attacks:", *story.read_text().splitlines()[-25:], sep="\n  ")
        if arguments.keep:
            shutil.copytree(lab.directory, arguments.keep, dirs_exist_ok=True)
        return 1
    finally:
        lab.stop_all(5)
        lab.honest.terminate()
    print(f"{arguments.rounds} rounds of {arguments.seconds:g} s: no trap, no hang, nothing left")
    return 0


if __name__ == "__main__":
    sys.exit(main())
