#!/usr/bin/env python3
"""weft-proxy beside nginx, HAProxy, Envoy and a raw relay: interleaved rounds, one worker pinned to one core, CPU per request.

  run.py [SCENARIO …] [--rounds N] [--seconds S] [--record TEXT] [--beside DIRECTORY]
                                                                   h1-small h1-64k h2-small grpc-unary (all when none is named)
  run.py --gates                                                   heap calls, references counted and instructions per request against
                                                                   thresholds.json
  run.py --filters [--rounds N] [--seconds S]                      CPU per request with six HTTP filters beside the router alone
  run.py --push [--proxies N] [--captured]                         time until a change has reached every proxy it concerns
  run.py --memory                                                  resident memory idle and with 1,000 idle connections

Prints `ratio SCENARIO PEER VALUE` (our CPU per request over the peer's: below 1 we are cheaper). Load generator and backend share the first
core, the proxy under test has the last one. --record appends a line to LEDGER.md.
"""
import argparse, json, os, re, shutil, statistics, subprocess, sys, tempfile, time

import harness

SCENARIOS = {
    "h1-small": {"peers": ["weft", "relay", "nginx", "haproxy", "envoy"], "body": 128},
    "h1-64k": {"peers": ["weft", "nginx", "haproxy", "envoy"], "body": 65536},
    "h2-small": {"peers": ["weft", "nginx", "haproxy", "envoy"], "body": 128, "http2": True},
    "grpc-unary": {"peers": ["weft", "nginx", "haproxy", "envoy"], "body": 128, "http2": True, "grpc": True},
}
GRPC_HEADERS = ("content-type: application/grpc", "te: trailers")
UNAVAILABLE = {"nginx": "nginx", "haproxy": "haproxy"}


def available(peer):
    if peer == "envoy":
        return (harness.PARTNERS / "venv" / "bin" / "envoy").exists()
    return shutil.which(UNAVAILABLE[peer]) is not None if peer in UNAVAILABLE else True


def load(name, scenario, port, seconds, message):
    if scenario.get("grpc"):
        return harness.h2load(port, int(6000 * seconds), path="/echo.Echo/Unary", data=message, headers=GRPC_HEADERS)
    if scenario.get("http2"):
        return harness.h2load(port, int(12000 * seconds))
    return harness.wrk(port, 16 if name == "h1-64k" else 64, seconds)


def measure(name, rounds, seconds, beside=None):
    scenario = SCENARIOS[name]
    peers = [p for p in scenario["peers"] if available(p)] + (["other"] if beside else [])
    for missing in set(scenario["peers"]) - set(peers):
        print(f"note: {missing} is not installed, no ratio against it")
    with harness.Lab() as lab:
        backend, _ = lab.backend(scenario["body"])
        grpc, _ = lab.grpc_backend() if scenario.get("grpc") else (9, None)
        message = lab.directory / "message"
        message.write_bytes(b"\0\0\0\0\x40" + b"m" * 64)
        proxies = {p: lab.proxy(p, backend, grpc, scenario.get("http2", False), directory=beside if p == "other" else None)
                   for p in peers}
        cost = {p: [] for p in peers}
        rate = {p: [] for p in peers}
        for peer, (port, _) in proxies.items():
            load(name, scenario, port, 1, message)
        for round_number in range(rounds):
            for peer, (port, process) in proxies.items():
                before = harness.cpu_nanoseconds(process.pid)
                requests, per_second = load(name, scenario, port, seconds, message)
                cost[peer].append((harness.cpu_nanoseconds(process.pid) - before) / 1000 / requests)
                rate[peer].append(per_second)
            print(f"  {name}: round {round_number + 1} of {rounds}", file=sys.stderr, flush=True)
        resident = {p: harness.resident_kilobytes(process.pid) / 1024 for p, (_, process) in proxies.items()}
    print(f"{name}: {'proxy':8s} {'cpu us/request':>15s} {'min':>7s} {'requests/s':>11s} {'RSS MB':>7s}")
    for peer in peers:
        print(f"{name}: {peer:8s} {statistics.median(cost[peer]):15.2f} {min(cost[peer]):7.2f} "
              f"{statistics.median(rate[peer]):11.0f} {resident[peer]:7.1f}")
    ratios = {}
    for peer in peers:
        if peer != "weft":
            ratios[peer] = statistics.median(a / b for a, b in zip(cost["weft"], cost[peer]))
            print(f"ratio {name} {peer} {ratios[peer]:.2f}")
    return statistics.median(cost["weft"]), ratios


def filters(rounds, seconds):
    """What six HTTP filters add to the CPU per request, in interleaved rounds; `idle` are the same six with nothing to do."""
    kinds = {"router": None, "six": "filters", "idle": "idle-filters"}
    with harness.Lab() as lab:
        backend, _ = lab.backend(128)
        proxies = {kind: lab.proxy("weft", backend, filters=file) for kind, file in kinds.items()}
        cost = {kind: [] for kind in kinds}
        for port, _ in proxies.values():
            harness.wrk(port, 64, 1)
        for round_number in range(rounds):
            for kind, (port, process) in proxies.items():
                before = harness.cpu_nanoseconds(process.pid)
                requests, _ = harness.wrk(port, 64, seconds)
                cost[kind].append((harness.cpu_nanoseconds(process.pid) - before) / 1000 / requests)
            print(f"  filters: round {round_number + 1} of {rounds}", file=sys.stderr, flush=True)
    for kind in kinds:
        added = statistics.median(a / b for a, b in zip(cost[kind], cost["router"])) - 1
        print(f"filters: {kind:6s} {statistics.median(cost[kind]):7.2f} us/request  min {min(cost[kind]):7.2f}  "
              f"requests/CPU second {1e6 / statistics.median(cost[kind]):7.0f}  added {100 * added:+.1f} %")


def allocations_per_request(filters=None):
    """Heap calls per request on the HTTP/1.1 path after warm-up, over 64 connections."""
    with harness.Lab() as lab:
        backend, _ = lab.backend(128)
        counter = harness.AllocationCounter(lab)
        port, _ = lab.proxy("weft", backend, env=counter.env, filters=filters)
        harness.wrk(port, 64, 2)
        time.sleep(0.5)
        # The same connections are opened and closed in both runs; only the number of requests differs.
        def run(seconds):
            before = counter.value()
            requests, _ = harness.wrk(port, 64, seconds)
            return counter.value() - before, requests
        short, few = run(1)
        long, many = run(3)
        # What goes by the clock, whoever is served: some twenty calls a second, which a slow machine would divide among few requests.
        before = counter.value()
        time.sleep(2)
        ticks = counter.value() - before
        return max(0.0, (long - short - ticks) / (many - few)), long, many


def counts_per_request(filters=None):
    """User-space instructions, those of them that go by the clock, and references taken and given up, per HTTP/1.1 request: two callgrind
    runs that differ only in the number of requests. One connection, each request after the answer to the last: one event per turn, the
    dearest case."""
    def run(requests):
        with harness.Lab() as lab:
            backend, _ = lab.backend(128)
            # Valgrind cannot read the debug information Swift writes; the names are needed.
            subprocess.run(["strip", "--strip-debug", "-o", lab.directory / "weft-proxy", harness.BIN / "weft-proxy"], check=True)
            port, process = lab.proxy("weft", backend, directory=lab.directory, filters=filters, wrapper=(
                "valgrind", "--tool=callgrind", "--separate-threads=yes", f"--callgrind-out-file={lab.directory}/callgrind",
                "--error-limit=no", "-q"))
            harness.one_by_one(port, requests)
            process.terminate()
            process.wait(60)
            # The worker's thread: what others do goes by the clock.
            texts = [path.read_text() for path in lab.directory.glob("callgrind*")]
            return harness.callgrind_counts(next(text for text in texts if "WorkerEngineC12beginRequest" in text))
    few, many = 2000, 6000
    return [(long - short) / (many - few) for short, long in zip(run(few), run(many))]


def memory():
    """(idle MB, MB added by 1,000 idle connections)."""
    with harness.Lab() as lab:
        backend, _ = lab.backend(128)
        port, process = lab.proxy("weft", backend)
        time.sleep(1)
        idle = harness.resident_kilobytes(process.pid) / 1024
        harness.wrk(port, 1, 1)
        warm = harness.resident_kilobytes(process.pid) / 1024
        holder = subprocess.Popen([lab.directory / "idle", str(port), "1000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  text=True)
        line = holder.stdout.readline().strip()
        time.sleep(0.5)
        held = harness.resident_kilobytes(process.pid) / 1024
        holder.stdin.close()
        holder.wait(10)
        if line != "open 1000":
            raise RuntimeError(f"only '{line}'")
        return idle, held - warm


def push(proxies, services, rounds, captured):
    """A control plane and so many simulated proxies, on loopback. Prints what weft-fleet measures; returns its lines."""
    with tempfile.TemporaryDirectory(prefix="weft-push-") as directory:
        ready = os.path.join(directory, "ready")
        control = subprocess.Popen([
            harness.BIN / "weft-control", "--api-address", "127.0.0.1:0", "--xds-address", "127.0.0.1:0", "--data-dir",
            os.path.join(directory, "data"), "--ready-file", ready, "--log-level", "error"], stdout=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 20
            while not os.path.exists(ready):
                if control.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("weft-control did not start")
                time.sleep(0.02)
            bound = dict(line.split("=", 1) for line in open(ready).read().split())
            fleet = subprocess.Popen([
                harness.BIN / "weft-fleet", f"http://{bound['api']}", bound["xds"], "--proxies", str(proxies), "--services",
                str(services), "--rounds", str(rounds), *(["--captured"] if captured else [])],
                stdout=subprocess.PIPE, text=True)
            lines = []
            for text in fleet.stdout:
                try:
                    line = json.loads(text)
                except ValueError:
                    raise RuntimeError(text.strip()) from None
                lines.append(line)
                if line["change"] == "connect":
                    print(f"push: {line['proxies']} proxies connected and served in {line['ms'] / 1000:.1f} s", flush=True)
                    continue
                print(f"push: {line['change']:14s} of {line['of']:6s} concerns {line['concerned']:5d} proxies: p50 {line['p50']:7.1f} ms  "
                      f"p99 {line['p99']:7.1f} ms  max {line['max']:7.1f} ms; {line['others']} others heard of it, "
                      f"{line['missing']} never had it", flush=True)
            if fleet.wait(10) != 0:
                raise RuntimeError("weft-fleet failed")
            print(f"push: control plane {harness.resident_kilobytes(control.pid) / 1024:.0f} MB resident")
            return lines
        finally:
            control.terminate()
            control.wait(20)


def gates():
    thresholds = json.loads((harness.HERE / "thresholds.json").read_text())
    failed = 0

    def gate(name, value, limit):
        nonlocal failed
        good = value <= limit
        failed += not good
        print(f"{'ok' if good else 'OVER'}  {name}  {value:.2f}  (limit {limit})", flush=True)

    chains = {"": None, ", six filters": "filters"}
    for chain, file in chains.items():
        per_request, _, _ = allocations_per_request(file)
        gate(f"h1 allocations per request{chain}", round(per_request, 3), thresholds["h1AllocationsPerRequest"])
    if shutil.which("valgrind"):
        alone, alone_clock, references = counts_per_request()
        six, six_clock, more_references = counts_per_request("filters")
        idle, idle_clock, _ = counts_per_request("idle-filters")
        gate("h1 instructions per request", alone, thresholds["h1InstructionsPerRequest"])
        gate("h1 references counted per request", round(references, 2), thresholds["h1ReferencesPerRequest"])
        gate("h1 references counted for six filters", round(more_references - references, 1), 0)
        gate("h1 instructions of six filters", six - six_clock - alone + alone_clock, thresholds["h1InstructionsOfSixFilters"])
        gate("h1 instructions of six filters with nothing to do", idle - idle_clock - alone + alone_clock,
             thresholds["h1InstructionsOfIdleFilters"])
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--beside", metavar="DIRECTORY", type=os.path.abspath,
                        help="measure the weft-proxy of another build, too, as `other`")
    parser.add_argument("--gates", action="store_true")
    parser.add_argument("--filters", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--push", action="store_true")
    parser.add_argument("--proxies", type=int, default=1000)
    parser.add_argument("--services", type=int, default=50)
    parser.add_argument("--captured", action="store_true", help="with --push: proxies that are given the whole mesh")
    parser.add_argument("--record", metavar="TEXT", help="append the result to LEDGER.md with this reason")
    arguments = parser.parse_args()
    unknown = set(arguments.scenarios) - set(SCENARIOS)
    if unknown:
        parser.error(f"no scenario named {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    if arguments.gates:
        sys.exit(1 if gates() else 0)
    if arguments.filters:
        return filters(arguments.rounds, arguments.seconds)
    if arguments.push:
        lines = push(arguments.proxies, arguments.services, max(arguments.rounds, 20), arguments.captured)
        sys.exit(0 if all(line.get("missing", 0) == 0 and line.get("others", 0) == 0 for line in lines) else 1)
    if arguments.memory:
        idle, added = memory()
        print(f"memory idle {idle:.1f} MB; 1,000 idle connections add {added:.2f} MB")
        return
    results = {name: measure(name, arguments.rounds, arguments.seconds, arguments.beside) for name in arguments.scenarios or SCENARIOS}
    if arguments.record:
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=harness.ROOT, capture_output=True, text=True).stdout.strip()
        with open(harness.HERE / "LEDGER.md", "a") as ledger:
            for name, (cost, ratios) in results.items():
                row = " · ".join(f"{p} {v:.2f}" for p, v in ratios.items())
                ledger.write(f"| {time.strftime('%Y-%m-%d')} | {commit} | {name} | {cost:.2f} | {row} | {arguments.record} |\n")


if __name__ == "__main__":
    main()
