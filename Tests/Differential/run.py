#!/usr/bin/env python3
"""The same configuration and the same requests for a real Envoy and for weft-proxy: what differs is mended, or listed with its reason.

  run.py [--summary FILE] [--show] [--list] [--update] [NAME …]     NAMEs select cases by a part of `area/name`

Cases are the files of Tests/Differential/cases; docs/internals/differential.md says how to write one. Differences that are meant stand in
docs/reference/differences.md, and what of a row may differ in Tests/Differential/differing.txt (`--update` writes it: read its diff). A listed difference that is
none any more fails the run, and so does a listed row that differs in something else. Without Envoy every case is skipped."""
import argparse, asyncio, collections, fnmatch, json, os, pathlib, re, shutil, subprocess, sys, tempfile, time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PARTNERS = pathlib.Path(os.environ.get("WEFT_PARTNERS", pathlib.Path.home() / ".cache" / "weft-partners"))
ENVOY = PARTNERS / "venv" / "bin" / "envoy"
PYTHON = PARTNERS / "venv" / "bin" / "python"
WEFT = pathlib.Path(os.environ.get("WEFT_BIN", ROOT / ".build" / "release")) / "weft-proxy"
if PYTHON.exists() and pathlib.Path(sys.prefix).resolve() != (PARTNERS / "venv").resolve():
    os.execv(PYTHON, [str(PYTHON), *sys.argv])  # the YAML reader is there, beside Envoy
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(ROOT / "Tools"))
import client  # noqa: E402
from backends import Backend  # noqa: E402
from loopback import free_port  # noqa: E402
from bootstrap import CONNECTION_LOG, LOG, SEPARATOR, Place, bootstrap, merge  # noqa: E402

CASES = pathlib.Path(__file__).resolve().parent / "cases"
DIFFERENCES = ROOT / "docs" / "reference" / "differences.md"
DIFFERING = pathlib.Path(__file__).resolve().parent / "differing.txt"
AT_ONCE = 10  # cases of an area that are played at the same time
AREAS_AT_ONCE = 3  # each has an Envoy and a weft-proxy of its own
PARTS = {"about", "over", "routes", "vhosts", "vhost", "table", "router", "hcm", "tcp", "listener", "tls", "clusters", "backends", "bootstrap",
         "requests", "files", "alone", "validate", "ignore", "longest"}
ROW_PARTS = {"name", "do", "raw", "tcp", "head", "over", "host", "answer", "answers", "from", "then", "trailers", "expect", "ignore", "first", "sni",
             "alpn", "certificate", "half", "responses", "longest", "settle", "scheme", "window", "open", "widen", "frames", "cancel"}
# Fields that are made anew for each request, or depend on the clock.
UNLIKE_BY_NATURE = {"date"}
MASKED = {"x-request-id": r"[0-9a-f]{8}-[0-9a-f-]{27}", "x-envoy-upstream-service-time": r"\d+", "sec-websocket-key": r"[A-Za-z0-9+/]{22}=="}
# In a cookie of the proxy's own, the hash of the connection's addresses.
PARTLY_MASKED = {"set-cookie": r'(?<==")[0-9a-f]{16}(?=")'}


# Cases

def load(names):
    import yaml
    cases = []
    for path in sorted(CASES.glob("*/*.yaml")):
        name = f"{path.parent.name}/{path.stem}"
        if names and not any(n in name or n.startswith(name + "/") for n in names):
            continue
        try:
            case = yaml.safe_load(path.read_text())
        except yaml.YAMLError as error:
            sys.exit(f"{name}: {error}")
        # A table of cases that differ in a little: each is what the file says with its own entry on top.
        table = case.pop("each", None)
        for name, case in {f"{name}/{k}": merge(case, v) for k, v in table.items()}.items() if table else [(name, case)]:
            unknown = set(case) - PARTS
            if unknown or "about" not in case:
                sys.exit(f"{name}: {'unknown: ' + ', '.join(sorted(unknown)) if unknown else 'no `about`'}")
            case["name"] = name
            case["rows"] = rows(case)
            cases.append(case)
    return cases


def rows(case):
    """The requests of a case, each once for every protocol it is sent over."""
    out, seen = [], collections.Counter()
    for form in case.get("requests", []):
        row = {"do": form} if isinstance(form, str) else dict(form)
        if isinstance(row.get("do"), str) and re.match(r"\d{3} ", row["do"]):  # `404 GET /x`: with the status that must come
            row["expect"], row["do"] = {"status": int(row["do"][:3]), **row.get("expect", {})}, row["do"][4:]
        unknown = set(row) - ROW_PARTS
        if unknown:
            sys.exit(f"{case['name']}: unknown in a request: {', '.join(sorted(unknown))}")
        overs = row.get("over", "h1" if "raw" in row else case.get("over", "h1"))
        for over in overs if isinstance(overs, list) else [overs]:
            text = row.get("do") or row.get("raw") or row.get("tcp")
            text = text[0] if isinstance(text, list) else text
            title = str(row.get("name") or "") or (text or "").strip().split("\n")[0][:70]
            if over == "h2":
                title += " (h2)"
            seen[title] += 1
            if seen[title] > 1:
                title += f" #{seen[title]}"
            out.append({**row, "over": over, "name": title})
    return out


# Proxies

class Group:
    """Cases that share one Envoy and one weft-proxy."""
    ports = set()

    def __init__(self, cases, directory, certs):
        self.cases, self.directory, self.certs = cases, directory, certs
        self.processes, self.ready = {}, {}

    def reserve(self):
        """A port that nobody listens on, and no other group has."""
        while (port := free_port()) in self.ports:
            pass
        self.ports.add(port)
        return port

    async def start(self):
        self.places = {"envoy": {}, "weft": {}}
        for proxy, places in self.places.items():
            (self.directory / proxy).mkdir(parents=True, exist_ok=True)
            for case in self.cases:
                backends = {}
                for name in dict.fromkeys(["c", *case.get("backends", {}), *case.get("clusters", {})]):
                    forms = case.get("backends", {}).get(name)
                    backends[name] = [Backend(f"{name}{i}" if len(forms) > 1 else name, form, self.certs)
                                      for i, form in enumerate(forms)] if isinstance(forms, list) else [Backend(name, forms, self.certs)]
                for backend in (b for endpoints in backends.values() for b in endpoints):
                    await backend.start()
                log = self.directory / proxy / (case["name"].replace("/", ".") + ".log")
                places[case["name"]] = Place(case, self.reserve(), backends, self.certs, log)
                places[case["name"]].write_files()
            self.ready[proxy] = self.reserve()
            config = self.directory / proxy / "bootstrap.json"
            config.write_text(json.dumps(bootstrap(list(places.values()), self.ready[proxy]), indent=1))
        return await asyncio.gather(*(self.launch(proxy) for proxy in self.places))

    def command(self, proxy):
        common = ["-c", str(self.directory / proxy / "bootstrap.json"), "--concurrency", "1", "--file-flush-interval-msec", "20",
                  "--disable-hot-restart", "-l", "error"]
        return [str(ENVOY if proxy == "envoy" else WEFT), *common]

    async def launch(self, proxy):
        """None when it serves; else what it said."""
        said = self.directory / proxy / "said.txt"
        with said.open("wb") as out:
            process = subprocess.Popen(self.command(proxy), stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        self.processes[proxy] = process
        waiting = [self.ready[proxy]]  # the last listener of the bootstrap: to connect to the others would show in their logs
        deadline = time.monotonic() + 60
        while waiting and process.poll() is None and time.monotonic() < deadline:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", waiting[-1])
                writer.close()
                waiting.pop()
            except OSError:
                await asyncio.sleep(0.02)
        if not waiting:
            return None
        lines = [line for line in said.read_text(errors="replace").splitlines() if "] [" in line or "weft-proxy" in line or "rror" in line]
        return "\n      ".join(line[:600] for line in lines[-4:]) or "does not serve"

    def stop(self):
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()
        for places in getattr(self, "places", {}).values():
            for backend in (b for p in places.values() for endpoints in p.backends.values() for b in endpoints):
                if hasattr(backend, "server"):
                    backend.server.close()
                else:
                    backend.socket.close()

    def dead(self):
        return {p: process.returncode for p, process in self.processes.items() if process.poll() is not None}


# One case

async def play_case(case, group):
    """For every row: (row, Envoy's result, ours)."""
    out = []
    for row in case["rows"]:
        if "longest" in case:
            row.setdefault("longest", case["longest"])
        results = await asyncio.gather(*(play_row(group.places[proxy][case["name"]], row, case) for proxy in group.places))
        out.append((row, *results))
    for side, proxy in enumerate(group.places, 1):
        lines = await log_lines(group.places[proxy][case["name"]], case)
        ports = [str(entry[side].pop("client")) for entry in out]
        for i, (entry, port) in enumerate(zip(out, ports)):
            own = [line for line in lines if line["client"] == port]
            if port in ports[i + 1:]:  # the system gave the port again: what is left is a later row's
                own = own[:expected_lines(entry[0])]
            lines = [line for line in lines if not any(line is mine for mine in own)]
            entry[side]["log"] = [{k: v for k, v in line.items() if k != "client"} for line in own]
    return out


def expected_lines(row):
    return len(row["do"]) if isinstance(row.get("do"), list) else row.get("responses", 1)


async def play_row(place, row, case):
    for name, endpoints in place.backends.items():
        for backend in endpoints:
            wanted = row.get("answers", [row["answer"]] if "answer" in row else None)
            backend.script(wanted if name == row.get("from", "c") else None)
    row = {**row, **{k: place.fill(row[k]) for k in ("do", "raw", "host", "head", "sni") if k in row}}
    results, own = await client.play(place.port, row, case, place.certs)
    words = {str(port): name for name, port in place.words().items() if isinstance(port, int)}
    words[str(own)] = "client"  # shown where the address of the connection itself is passed on
    upstream = [{"to": b.name, **entry} for endpoints in place.backends.values() for b in endpoints for entry in b.seen]
    upstream = [plain(u, words, place) for u in upstream]
    for entry in upstream if len(upstream) > 1 else []:  # what is left of the time is another for each attempt
        entry["headers"] = [re.sub("^(x-envoy-expected-rq-timeout-ms: ).*", r"\1…", h) for h in entry["headers"]]
    return {"client": own, "responses": [plain(r, words, place) for r in results], "upstream": upstream}


def plain(result, words, place):
    """A result without what is unlike by nature: ports by name, fields in one order, masks."""
    def text(value):
        value = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        value = re.sub(r"(?<!\d)(\d{5})(?!\d)", lambda m: f"<{words[m[1]]}>" if m[1] in words else m[1], value)
        return value.replace(place.prefix + ".", "")
    out = {}
    for key, value in result.items():
        if key in ("headers", "trailers"):
            masked = []
            for name, v in value:
                name = name.lower()
                if name in UNLIKE_BY_NATURE:
                    continue
                if name in MASKED and re.fullmatch(MASKED[name], v):
                    v = "…"
                if name in PARTLY_MASKED:
                    v = re.sub(PARTLY_MASKED[name], "…", v)
                masked.append(f"{name}: {text(v.lower() if name == 'connection' else v)}")
            out[key] = joined(masked)
        elif value is not None and not isinstance(value, (int, list)):
            out[key] = text(value)
        else:
            out[key] = value
    return out


def joined(lines):
    """Fields of one name as one, which is the same (RFC 9110 5.3), cookies apart; by name."""
    out = {}
    for line in lines:
        name, value = re.match("(:?[^:]*): ?(.*)", line, re.S).groups()
        if name in out and name != "set-cookie":
            out[name] = [f"{out[name][0]},{value}"]
        else:
            out.setdefault(name, []).append(value)
    return [f"{name}: {value}" for name in sorted(out) for value in out[name]]


async def log_lines(place, case):
    """What the proxy has logged, as maps. Lines come a moment after the response."""
    wanted, known = sum(map(expected_lines, case["rows"])), -1
    for _ in range(40):
        lines = place.log.read_text(errors="replace").splitlines() if place.log.exists() else []
        if len(lines) >= wanted or (len(lines) == known and _ > 8):
            break
        known = len(lines)
        await asyncio.sleep(0.05)
    names = list(CONNECTION_LOG if "tcp" in case else LOG)
    lines = [{n: v.replace(place.prefix + ".", "") for n, v in zip(names, line.split(SEPARATOR))} for line in lines]
    for line in lines:
        line["flags"] = ",".join(sorted(line["flags"].split(",")))  # a set, in no order
        if "details" in line:  # Envoy adds what the operating system said
            line["details"] = re.sub(r"\|(delayed_connect_error|immediate_connect_error|failed_to_bind)[^}]*", "", line["details"])
    return lines


# Comparison

CODEC_ERRORS = {"Request Timeout", "Bad Request", "Not Implemented", "Payload Too Large", "Request Header Fields Too Large", "Request Timeout", "HTTP Version Not Supported"}


def without_reason_bodies(result):
    """Envoy gives the answer to what is no HTTP its own status text as content; here it has none. Nobody reads it."""
    for response in result["responses"]:
        if response.get("body") in CODEC_ERRORS and response["status"] >= 400:
            response["body"] = ""
            response["headers"] = [h for h in response["headers"] if not re.match("content-(type: text/plain|length)", h)] + ["content-length: 0"]
            response["headers"].sort()
            if "log" in result:
                for line in result["log"]:
                    line.update({"sent": "0", "content type": "-"})
    return result


def differences(theirs, ours, ignored, at=""):
    """Lines that say where two results differ."""
    if at and any(re.fullmatch(pattern, at) for pattern in ignored):
        return []
    if isinstance(theirs, dict) and isinstance(ours, dict):
        out = []
        for key in {**theirs, **ours}:
            out += differences(theirs.get(key), ours.get(key), ignored, f"{at}.{key}" if at else key)
        return out
    if isinstance(theirs, list) and isinstance(ours, list):
        if all(isinstance(v, str) for v in theirs + ours):
            theirs, ours = ([line for line in side if not any(re.fullmatch(p, f"{at}.{line.split(':')[0]}") for p in ignored)]
                            for side in (theirs, ours))
            only = collections.Counter(theirs), collections.Counter(ours)
            a, b = sorted((only[0] - only[1]).elements()), sorted((only[1] - only[0]).elements())
            if a or b:
                return [f"{at}: Envoy {a}, weft-proxy {b}"]
            return [f"{at}: order: Envoy {theirs}, weft-proxy {ours}"] if theirs != ours else []
        if len(theirs) == len(ours):
            return [d for i, (a, b) in enumerate(zip(theirs, ours)) for d in differences(a, b, ignored, at if len(ours) == 1 else f"{at}.{i}")]
    return [] if theirs == ours else [f"{at}: Envoy {theirs!r}, weft-proxy {ours!r}"]


def unmet(row, result):
    """What the case says that must hold, and does not hold for this result."""
    wanted = row.get("expect")
    if wanted is None:
        return []
    wanted = {"status": wanted} if isinstance(wanted, int) else wanted
    last = result["responses"][-1]
    out = []
    for key, value in wanted.items():
        if key == "upstream":
            holds, got = len(result["upstream"]) == value, len(result["upstream"])
        elif key == "header":
            holds, got = value.lower() in [h.lower() for h in last.get("headers", [])], last.get("headers")
        elif key == "sent":
            fields = [h for u in result["upstream"] for h in u["headers"] + [u["line"]]]
            holds, got = value in fields, fields
        else:
            got = last.get(key)
            holds = str(got) == str(value)
        if not holds:
            out.append(f"expected {key} {value!r}, is {got!r}")
    return out


def listed():
    """Differences that are meant: name -> reason, from the tables of docs/reference/differences.md."""
    out = {}
    for line in DIFFERENCES.read_text().splitlines() if DIFFERENCES.exists() else []:
        cells = [c.strip() for c in re.split(r"(?<!\\)\|", line)]
        if len(cells) >= 4 and (name := re.fullmatch(r"`([^`]+)`", cells[1])):
            out[name[1].replace("\\|", "|")] = cells[2]
    return out


def places(found):
    """Where results differ: paths without numbers, of fields their names, of status and flags what ours are."""
    out = set()
    for line in found:
        path, rest = line.split(": ", 1)
        path = re.sub(r"\.\d+", "", path)
        names = set(re.findall(r"""['"]([!#$%&*+.^_`|~0-9a-z:-]+): """, rest)) if path.split(".")[-1] in ("headers", "trailers") else set()
        ours = re.search(r"weft-proxy '?([\w,-]+)'?$", rest) if path in ("responses.status", "log.flags", "log.status") else None
        out |= {f"{path}.{name}" for name in names} or {f"{path}={ours[1].replace(',', '+')}" if ours else path}
    return out


def differing():
    """What may differ of a listed row: name -> places."""
    out = {}
    for line in DIFFERING.read_text().splitlines() if DIFFERING.exists() else []:
        name, _, where = line.rpartition(" | ")
        out[name] = set(where.split(", "))
    return out


# The run

class Report:
    def __init__(self, show, updates=False):
        self.passed, self.failed, self.skipped, self.known, self.show, self.updates = 0, 0, 0, 0, show, updates
        self.listed, self.used = listed(), set()
        self.places = differing()

    def part(self):
        """A report of its own for one area, which counts towards this one when it is added."""
        part = Report(self.show, self.updates)
        part.listed, part.used, part.places = self.listed, self.used, self.places
        return part

    def add(self, part):
        self.passed, self.failed, self.known = self.passed + part.passed, self.failed + part.failed, self.known + part.known

    def key(self, name):
        """The listed name that a row's falls under."""
        return next((k for k in self.listed if k in (name, name.split(": ")[0]) or fnmatch.fnmatchcase(name, k)), None)

    def say(self, text):
        print(text, flush=True)

    def row(self, case, row, theirs, ours):
        name = f"{case['name']}: {row['name']}"
        ignored = case.get("ignore", []) + row.get("ignore", [])
        theirs, ours = without_reason_bodies(theirs), without_reason_bodies(ours)
        wrong = [f"Envoy: {u}" for u in unmet(row, theirs)]
        found = differences(theirs, ours, ignored)
        if self.show:
            self.say(f"{name}\n      {json.dumps(theirs)}\n      {json.dumps(ours)}")
        key = self.key(name)
        if found and key and not wrong:
            self.used.add(key)
            where = places(found)
            if self.updates:
                self.places[name] = where | self.places.get(name, set())
            elif more := where - self.places.get(name, set()):
                self.failed += 1
                lines = [f"      {line[:1500]}" for line in found]
                self.say("\n".join([f"FAIL  {name}", f"      differs in more than is listed in {DIFFERING.relative_to(ROOT)}: {', '.join(sorted(more))}", *lines]))
                return
            self.known += 1
            self.passed += 1
        elif found or wrong:
            self.failed += 1
            self.say("\n".join([f"FAIL  {name}", *(f"      {line[:1500]}" for line in wrong + found)]))
        else:
            self.passed += 1

    def fail(self, case, text):
        """The case could not be played."""
        count = len(case["rows"]) or 1
        words = self.places.get(f"{case['name']}: start", set())
        # A listed one is refused by us alone, and in words that are listed.
        if case["name"] in self.listed and text.startswith("weft-proxy did not start") and any(w in text for w in words):
            self.used.add(case["name"])
            self.known += count
            self.passed += count
            return
        self.failed += count
        self.say(f"FAIL  {case['name']}: {text}")


async def validate(case, directory, certs, report):
    """A case that is about what configuration is taken: both say yes, or both say no."""
    group = Group([case], directory, certs)
    report_row = {"name": "validate", **({"expect": case["validate"]} if isinstance(case["validate"], str) else {})}
    results = []
    for proxy in ("envoy", "weft"):
        (directory / proxy).mkdir(parents=True, exist_ok=True)
        backends = {n: [Backend(n, None, certs)] for n in dict.fromkeys(["c", *case.get("clusters", {})])}
        place = Place(case, group.reserve(), backends, certs, directory / proxy / "log")
        place.write_files()
        (directory / proxy / "bootstrap.json").write_text(json.dumps(bootstrap([place])))
        done = await asyncio.create_subprocess_exec(*group.command(proxy), "--mode", "validate", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said, _ = await done.communicate()
        verdict = "taken" if done.returncode == 0 else "refused"
        results.append({"responses": [{"status": verdict}], "upstream": []})
        if report.show:
            report.say(said.decode(errors="replace"))
        for backend in (b for endpoints in backends.values() for b in endpoints):
            backend.socket.close()
    if "expect" in report_row:
        report_row["expect"] = {"status": report_row["expect"]}
    report.row(case, report_row, *results)


async def play_group(cases, directory, certs, report, count):
    """Plays cases in one pair of proxies; what makes one of them refuse or end is found by halving."""
    group = Group(cases, directory, certs)
    try:
        trouble = await group.start()
        if any(trouble):
            if len(cases) == 1:
                who = " and ".join(name for name, t in zip(("Envoy", "weft-proxy"), trouble) if t)
                return report.fail(cases[0], f"{who} did not start:\n      " + "\n      ".join(t for t in trouble if t))
            return await halves(group, cases, directory, certs, report, count)
        bound = asyncio.Semaphore(AT_ONCE)

        async def one(case):
            async with bound:
                return await play_case(case, group)

        results = await asyncio.gather(*(one(case) for case in cases))
        dead = group.dead()
        if dead and len(cases) > 1:
            report.say(f"{' and '.join(f'{p} ended ({code})' for p, code in dead.items())}: looking for the case")
            return await halves(group, cases, directory, certs, report, count)
        for case, outcome in zip(cases, results):
            if dead:
                report.fail(case, f"{' and '.join(f'{p} ended with {code}' for p, code in dead.items())}")
            else:
                for row, theirs, ours in outcome:
                    report.row(case, row, theirs, ours)
    finally:
        group.stop()


async def halves(group, cases, directory, certs, report, count):
    group.stop()
    middle = len(cases) // 2
    for part in (cases[:middle], cases[middle:]):
        await play_group(part, pathlib.Path(tempfile.mkdtemp(dir=directory)), certs, report, count)


def certificates(directory):
    """An authority, a server's certificate and a client's, for this run."""
    directory.mkdir()

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=differential authority",
            "-addext", "basicConstraints=critical,CA:TRUE")
    for name, san in (("server", "DNS:a.test,DNS:*.b.test"), ("client", "URI:spiffe://cluster.local/ns/default/sa/client,DNS:client.test")):
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/O=Test/CN={name}")
        (directory / f"{name}.ext").write_text(f"subjectAltName={san}\nbasicConstraints=CA:FALSE\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
                "-extfile", f"{name}.ext", "-out", f"{name}.pem")
    return directory


async def main(arguments):
    cases = load(arguments.names)
    if arguments.list:
        for case in cases:
            print("\n".join(f"{case['name']}: {row['name']}" for row in case["rows"]) or f"{case['name']}: validate")
        return Report(False)
    report = Report(arguments.show, arguments.update)
    count = sum(len(c["rows"]) or 1 for c in cases)
    if not ENVOY.exists() or not shutil.which("openssl"):
        report.say(f"differential cases: no Envoy at {ENVOY}" if not ENVOY.exists() else "differential cases: no openssl")
        report.skipped = count
        return report
    with tempfile.TemporaryDirectory(prefix="weft-diff-") as temporary:
        directory = pathlib.Path(temporary)
        certs = certificates(directory / "certs")
        alone = [c for c in cases if c.get("alone") or c.get("bootstrap") or c.get("validate")]
        areas = collections.OrderedDict()
        for case in cases:
            if case not in alone:
                areas.setdefault(case["name"].split("/")[0], []).append(case)
        bound = asyncio.Semaphore(AREAS_AT_ONCE)

        async def play(area, members):
            async with bound:
                began, part = time.monotonic(), report.part()
                await play_group(members, directory / area, certs, part, count)
                report.add(part)
                report.say(f"  {area}: {part.passed} passed, {part.failed} failed, {time.monotonic() - began:.1f} s")

        async def play_alone(number, case):
            async with bound:
                work = validate(case, directory / f"alone-{number}", certs, report) if case.get("validate") \
                    else play_group([case], directory / f"alone-{number}", certs, report, count)
                await work

        # What takes longest comes first.
        order = sorted(areas.items(), key=lambda entry: -max(len(c["rows"]) for c in entry[1]))
        await asyncio.gather(*(play(*entry) for entry in order))
        if alone:
            began = time.monotonic()
            await asyncio.gather(*(play_alone(*item) for item in enumerate(alone)))
            report.say(f"  alone: {len(alone)} cases, {time.monotonic() - began:.1f} s")
    if arguments.update:
        # What a row differs in at times stays written; a row that is listed no more, or is gone, goes. Without the file everything is found anew.
        rows = {f"{c['name']}: {r['name']}" for c in cases for r in c["rows"]} | {f"{c['name']}: validate" for c in cases if c.get("validate")}
        for name in [n for n in report.places if not arguments.names and (n not in rows or not report.key(n))]:
            del report.places[name]
        DIFFERING.write_text("".join(f"{name} | {', '.join(sorted(where))}\n" for name, where in sorted(report.places.items())))
    names = {f"{c['name']}: {r['name']}" for c in cases for r in c["rows"]} | {c["name"] for c in cases}
    for name in report.listed:
        whole = name.split(": ")[0]
        if name in report.used or (arguments.names and not any(n in whole for n in arguments.names)):
            continue
        report.failed += 1
        report.say(f"FAIL  {name}: listed in {DIFFERENCES.relative_to(ROOT)}, but "
                   + ("does not differ any more" if name in names or f"{name}: validate" in names or name.endswith(": validate") else "there is no such case"))
    return report


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--summary", help="write 'passed failed skipped' to this file")
    parser.add_argument("--show", action="store_true", help="print what came back, Envoy's first")
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    parser.add_argument("--update", action="store_true", help="write down what of listed rows differs")
    parser.add_argument("names", nargs="*")
    chosen = parser.parse_args()
    done = asyncio.run(main(chosen))
    if chosen.list:
        sys.exit(0)
    print(f"differential: {done.passed} passed ({done.known} of them listed differences), {done.failed} failed, {done.skipped} skipped", flush=True)
    if chosen.summary:
        pathlib.Path(chosen.summary).write_text(f"{done.passed} {done.failed} {done.skipped}\n")
    sys.exit(1 if done.failed or (os.environ.get("CI") == "true" and done.skipped) else 0)
