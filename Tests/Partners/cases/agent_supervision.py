#!/usr/bin/env python3
"""`weft run` as the parent of its programs: Ctrl-C at a terminal drains before the program hears of it, a program that reads from the terminal gets
it, a signal during the start undoes the start, a killed agent leaves nothing running, and a port that is taken is refused."""
import json, os, pathlib, pty, select, signal, socket, sys, time, urllib.request
import lab

PROGRAM = """
import http.server, signal, sys, time
log = open(sys.argv[2], "a", buffering=1)
def told(number, frame):
    log.write(f"signal {number} {time.monotonic()}\\n")
    sys.exit(0)
signal.signal(signal.SIGINT, told)
signal.signal(signal.SIGTERM, told)
log.write("started\\n")
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def health(api, name):
    with urllib.request.urlopen(f"http://127.0.0.1:{api}/api/v1/workloads", timeout=5) as answer:
        items = json.load(answer)["items"]
    return next((item["health"] for item in items if item["service"] == name), None)


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def tree(pid):
    return sorted({int(p) for task in pathlib.Path(f"/proc/{pid}/task").iterdir() for p in (task / "children").read_text().split()})


class Terminal:
    """A program at a pseudo-terminal of its own, as the shell's foreground job."""

    def __init__(self, words, environment):
        self.text = b""
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.execve(words[0], words, environment)

    def until(self, what, seconds=30):
        end = time.monotonic() + seconds
        while what not in self.text:
            assert time.monotonic() < end, f"{what} did not come: {self.text!r}"
            if select.select([self.descriptor], [], [], 0.2)[0]:
                try:
                    self.text += os.read(self.descriptor, 65536)
                except OSError:
                    break

    def type(self, data):
        os.write(self.descriptor, data)

    def wait(self, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            if select.select([self.descriptor], [], [], 0.05)[0]:
                try:
                    self.text += os.read(self.descriptor, 65536)
                except OSError:
                    pass
        raise AssertionError(f"did not end: {self.text!r}")


with lab.Lab() as bench:
    bench.control()
    api, xds = bench.api, bench.xds
    environment = dict(os.environ, WEFT_CONTROL=f"http://127.0.0.1:{api}", WEFT_XDS=f"127.0.0.1:{xds}")
    weft = str(lab.BIN / "weft")

    def words(name, port, *program, more=()):
        return [weft, "run", "--service", name, "--port", str(port), "--state-dir", str(bench.directory / "state"), *more, "--", *program]

    def program(name, port):
        return [sys.executable, "-c", PROGRAM, str(port), str(bench.directory / f"{name}.log")]

    # Ctrl-C: peers let go first; the program hears of it once, and after that.
    port, = lab.free_ports(1)
    terminal = Terminal(words("typed", port, *program("typed", port), more=("--drain-seconds", "3")), environment)
    terminal.until(b"taking traffic")
    began = time.monotonic()
    terminal.type(b"\x03")
    lab.eventually("the workload is draining", lambda: health(api, "typed") == "DRAINING")
    assert "signal" not in (bench.directory / "typed.log").read_text(), "the program was told before its peers let go"
    assert terminal.wait() == 0
    told = [line for line in (bench.directory / "typed.log").read_text().splitlines() if line.startswith("signal")]
    assert len(told) == 1 and told[0].startswith(f"signal {int(signal.SIGINT)}"), told
    assert not list((bench.directory / "state" / "proxies").iterdir()), "an orderly end leaves no directory of its instance"
    assert list((bench.directory / "state" / "slots").rglob("last-good")), "the last good configuration stays for the next"
    print(f"Ctrl-C drains: {time.monotonic() - began:.1f} s")

    # A program that reads from the terminal gets it.
    terminal = Terminal([weft, "run", "--service", "talker", "--state-dir", str(bench.directory / "state"), "--", sys.executable, "-c",
                         "print('you said', input().strip(), flush=True)"], environment)
    terminal.until(b"proxy ready")
    terminal.type(b"hello\n")
    terminal.until(b"you said hello")
    assert terminal.wait() == 0
    print("a program that reads gets the terminal")

    # Killed without a word: neither proxy nor program stay behind.
    port, = lab.free_ports(1)
    agent = bench.start("killed", *words("killed", port, *program("killed", port)), env=environment)
    lab.eventually("it takes traffic", lambda: "taking traffic" in bench.log("killed"))
    family = tree(agent.pid)
    assert len(family) == 2, family
    agent.send_signal(signal.SIGKILL)
    agent.wait(10)
    lab.eventually("nothing is left", lambda: not any(alive(pid) for pid in family))
    print("a killed agent leaves nothing behind")

    # A port that is taken: said before anything else is started.
    with socket.create_server(("127.0.0.1", 0)) as other:
        agent = bench.start("taken", *words("taken", other.getsockname()[1], *program("taken", other.getsockname()[1])), env=environment)
        assert agent.wait(20) != 0
        assert "in use by another program" in bench.log("taken"), bench.log("taken")
        assert health(api, "taken") is None, "its registration is taken back"
        # One of its proxy's, too.
        port, = lab.free_ports(1)
        agent = bench.start("shadowed", *words("shadowed", port, *program("shadowed", port), more=("--inbound-port", str(other.getsockname()[1]))), env=environment)
        assert agent.wait(20) != 0
        assert "(--inbound-port) is in use by another program" in bench.log("shadowed"), bench.log("shadowed")
    print("a taken port is refused")

    # A signal while the proxy is not ready: everything is undone at once.
    nowhere, port = lab.free_ports(2)
    agent = bench.start("early", *words("early", port, *program("early", port)), env=dict(environment, WEFT_XDS=f"127.0.0.1:{nowhere}"))
    lab.eventually("it is registered", lambda: health(api, "early") == "UNHEALTHY")
    lab.eventually("its proxy is there", lambda: tree(agent.pid))
    family = tree(agent.pid)
    began = time.monotonic()
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(20) == 0
    assert time.monotonic() - began < 5, "a start that is called off ends at once"
    assert not any(alive(pid) for pid in family)
    assert health(api, "early") is None
    print("a signal during the start undoes it")
