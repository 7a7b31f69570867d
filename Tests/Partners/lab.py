"""What the partner cases share: processes on loopback ended by their ids, free ports, waiting, certificates, and Weft's programs."""
import contextlib, http.client, json, os, pathlib, random, shutil, signal, socket, subprocess, sys, tempfile, time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("WEFT_BIN", ROOT / ".build" / "release"))
PARTNERS = pathlib.Path(os.environ.get("WEFT_PARTNERS", pathlib.Path.home() / ".cache" / "weft-partners"))
ENVOY = PARTNERS / "venv" / "bin" / "envoy"
SKIPPED = 77


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)


def need(*things):
    """Skips the case unless every program (on PATH) or file is there."""
    for thing in things:
        path = pathlib.Path(thing)
        if not (path.exists() if path.is_absolute() else shutil.which(str(thing))):
            skip(f"{thing} cannot be had here")


def need_module(name):
    try:
        return __import__(name)
    except ImportError:
        skip(f"the Python package {name} cannot be had here")


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
    deadline = time.monotonic() + seconds
    last = None
    while time.monotonic() < deadline:
        try:
            value = condition()
            if value:
                return value
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            last = error
        time.sleep(0.05)
    raise AssertionError(f"after {seconds} s still not: {what}" + (f" ({last})" if last else ""))


def listens(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.3):
        return True
    return False


def http_get(port, path="/", host="127.0.0.1", headers=None, method="GET", body=None, timeout=10):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers={"Host": host, **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace"), dict(answer.getheaders())
    finally:
        connection.close()


class Lab:
    """Use with `with`: every process started here is ended by its id; logs are printed when the body fails."""

    def __enter__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="weft-case-"))
        self.processes = {}
        return self

    def __exit__(self, kind, *_):
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 5
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            if process.poll() is None:
                process.kill()
        if kind is not None and kind is not SystemExit:
            for path in sorted(self.directory.glob("*.log")):
                print(f"--- {path.name}", *path.read_text(errors="replace").splitlines()[-12:], sep="\n")
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self, name, *words, port=None, env=None, seconds=30):
        log = open(self.directory / f"{name}.log", "ab")
        process = subprocess.Popen([str(w) for w in words], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   env={**os.environ, **(env or {})}, start_new_session=True)
        self.processes[name] = process
        if port is not None:
            def up():
                if process.poll() is not None:
                    raise AssertionError(f"{name} ended with {process.returncode} before it listened on {port}")
                return listens(port)
            eventually(f"{name} listens on {port}", up, seconds)
        return process

    def stop(self, name, with_signal=signal.SIGTERM, seconds=20):
        process = self.processes.pop(name)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(with_signal)
        return process.wait(seconds)

    def log(self, name):
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def write(self, name, text):
        path = self.directory / name
        path.write_text(text if isinstance(text, str) else json.dumps(text, indent=1))
        return path

    def proxy(self, bootstrap, port, name="proxy", *flags):
        """weft-proxy from a bootstrap (text or JSON value)."""
        path = self.write(f"{name}.yaml", bootstrap)
        return self.start(name, BIN / "weft-proxy", "-c", path, "--concurrency", "1", *flags, port=port)

    def control(self, *flags):
        """weft-control on free ports; returns (api port, xds port)."""
        api, xds = free_ports(2)
        self.start("control", BIN / "weft-control", "--api-address", f"127.0.0.1:{api}", "--xds-address", f"127.0.0.1:{xds}",
                   "--data-dir", self.directory / "store", *flags, port=api)
        eventually("xDS is served", lambda: listens(xds))
        return api, xds

    def apply(self, api, text, accept=(200,)):
        status, body, _ = http_get(api, "/api/v1/apply?namespace=default", method="POST", body=text.encode(),
                                   headers={"content-type": "application/yaml"})
        assert status in accept, f"apply answered {status}: {body}"
        return json.loads(body)

    def certificates(self):
        """An authority and a certificate for localhost; returns (ca, certificate, key) as paths."""
        d = self.directory
        ca, ca_key, cert, key, request = (d / n for n in ("ca.pem", "ca.key", "cert.pem", "key.pem", "request.pem"))
        run = lambda *words: subprocess.run([str(w) for w in words], check=True, capture_output=True)
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=test authority", "-keyout", ca_key, "-out", ca)
        run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
            "-keyout", key, "-out", request)
        (d / "extensions").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        run("openssl", "x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "2",
            "-extfile", d / "extensions", "-out", cert)
        return ca, cert, key


HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = {"name": "envoy.filters.http.router",
          "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def cluster(name, *ports, http2=False, tls=None, **more):
    """A STATIC cluster; `tls` is a path to the trusted authority."""
    result = {"name": name, "type": "STATIC", "connect_timeout": "2s", "load_assignment": {
        "cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(p)}} for p in ports]}]}, **more}
    if http2:
        result["typed_extension_protocol_options"] = {HTTP_OPTIONS: {
            "@type": f"type.googleapis.com/{HTTP_OPTIONS}", "explicit_http_config": {"http2_protocol_options": {}}}}
    if tls:
        result["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": TLS + "UpstreamTlsContext", "sni": "localhost",
            "common_tls_context": {"alpn_protocols": ["h2"] if http2 else ["http/1.1"],
                                   "validation_context": {"trusted_ca": {"filename": str(tls)}}}}}
    return result


def routes(*entries):
    """A route configuration: entries are (prefix, cluster, more) tuples."""
    return {"name": "routes", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
        {"match": {"prefix": prefix}, "route": {"cluster": target, "timeout": "0s", **more}} for prefix, target, more in entries]}]}


def listener(port, route_config, tls=None, **more):
    """An HTTP listener; `tls` is (certificate, key)."""
    manager = {"@type": HCM, "stat_prefix": "case", "route_config": route_config, "http_filters": [ROUTER], **more}
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    if tls:
        chain["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": TLS + "DownstreamTlsContext", "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_certificates": [{"certificate_chain": {"filename": str(tls[0])}, "private_key": {"filename": str(tls[1])}}]}}}
    return {"name": f"listener_{port}", "address": address(port), "filter_chains": [chain]}


def bootstrap(listeners, clusters, admin=None):
    result = {"static_resources": {"listeners": listeners, "clusters": clusters}}
    if admin:
        result["admin"] = {"address": address(admin)}
    return result
