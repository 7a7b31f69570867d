"""What the partner cases share beside Tools/loopback.py: Weft's programs, stock Envoys, upstream servers, certificates, configurations."""
import http.server, json, pathlib, shutil, socket, socketserver, ssl, subprocess, sys, threading, time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "Tools"))
from loopback import (  # noqa: F401 - cases take them from here
    BIN, PARTNERS, ROOT, Failed, Load, Processes, eventually, expect, free_port, free_ports, http_get, listens)

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


def upstream(name, answer=None, address="127.0.0.1", port=0, tls=None):
    """An HTTP/1.1 server in this process; returns its port. It answers every GET and POST with `name`, or with `answer(request)`; a
    POST's answer ends with the number of bytes it took. `tls` is (certificate, key)."""
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version, wbufsize = "HTTP/1.1", -1

        def do_POST(self):
            self.do_GET(f" {len(self.rfile.read(int(self.headers['content-length'])))}")

        def do_GET(self, addition=""):
            body = ((answer(self) if answer else name) + addition).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        def server_bind(self):  # without asking DNS for the address's name, which may take for ever where there is no DNS
            socketserver.TCPServer.server_bind(self)
            self.server_name, self.server_port = self.server_address

        def handle_error(self, *_):
            pass  # a proxy that goes takes its idle connections with it

    server = Server((address, port), Handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


class Wire:
    """A network path that can fail as networks do: what connects to `port` is connected to `target`. `delay` holds every piece of data up;
    `vanish()` loses the other end of every connection there is without a word: what is sent is swallowed, nothing is closed, and
    new connections work."""

    def __init__(self, target):
        self.target, self.delay, self.accepted, self.alive, self.kept = target, 0.0, 0, [], []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def vanish(self):
        for connection in self.alive:
            connection["vanished"] = True
        self.alive = []

    def _accept(self):
        while True:
            near, _ = self.server.accept()
            self.accepted += 1
            try:
                far = socket.create_connection(("127.0.0.1", self.target), 2)
            except OSError:
                near.close()
                continue
            connection = {"vanished": False}
            self.alive.append(connection)
            self.kept.append((near, far))  # a vanished connection must not be closed by being forgotten
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=(source, sink, connection), daemon=True).start()

    def _copy(self, source, sink, connection):
        try:
            while data := source.recv(65536):
                time.sleep(self.delay)
                if not connection["vanished"]:
                    sink.sendall(data)
            if not connection["vanished"]:
                sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Lab(Processes):
    """Use with `with`: every process started here is ended; logs are printed when the body fails."""

    def __init__(self):
        super().__init__("weft-case-")
        self.api = self.xds = None
        self.control_address = "127.0.0.1"

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None and kind is not SystemExit:
            self.print_logs()
        self.stop_all(5)

    def write(self, name, text):
        return super().write(name, text if isinstance(text, str) else json.dumps(text, indent=1))

    def proxy(self, bootstrap, port, name="proxy", *flags):
        """weft-proxy from a bootstrap (text or JSON value)."""
        path = self.write(f"{name}.yaml", bootstrap)
        return self.start(name, BIN / "weft-proxy", "-c", path, "--concurrency", "1", *flags, port=port)

    def control(self, *flags, address="127.0.0.1"):
        """weft-control on free ports, which `self.api` and `self.xds` keep; once more: the same store on the same ports."""
        if not self.api:
            self.api, self.xds = free_ports(2)
        self.start("control", BIN / "weft-control", "--api-address", f"{address}:{self.api}", "--xds-address", f"{address}:{self.xds}",
                   "--data-dir", self.directory / "store", *flags)
        eventually("the API and xDS are served", lambda: listens(self.api, address) and listens(self.xds, address))
        self.control_address = address

    def ask(self, path, method="GET", body=None, accept=(200,), **headers):
        """A call to the control plane's API: its JSON."""
        status, text, _ = http_get(self.api, path, method=method, body=body, headers=headers, address=self.control_address)
        expect(status in accept, f"{method} {path} answered {status}: {text}")
        return json.loads(text) if text else None

    def apply(self, text, accept=(200,)):
        return self.ask("/api/v1/apply?namespace=default", "POST", text.encode(), accept, **{"content-type": "application/yaml"})

    def mesh_proxy(self, program, name, metadata, form="DELTA_GRPC", role="sidecar", labels=None, address="127.0.0.1", keepalive=None,
                   xds=None, prefix=()):
        """A stock Envoy or weft-proxy that weft-control configures, whatever `metadata` asks for; returns its admin port.
        `keepalive`: seconds between HTTP/2 pings to the control plane, and to wait for one; `xds`: another way to it;
        `prefix`: words before the program's."""
        admin = free_port()
        ads = {"ads": {}, "resource_api_version": "V3"}
        control = cluster("xds", xds or self.xds, http2=True, host=self.control_address)
        if keepalive:
            protocol = control["typed_extension_protocol_options"][HTTP_OPTIONS]["explicit_http_config"]["http2_protocol_options"]
            protocol["connection_keepalive"] = {"interval": f"{keepalive}s", "timeout": f"{keepalive}s"}
        config = self.write(f"{name}.json", {
            "node": {"id": f"{role}~{address}~{name}.default~default.svc.cluster.local", "cluster": f"{name}.default",
                     "metadata": {"NAMESPACE": "default", "LABELS": labels or {"app": name}, **metadata}},
            "admin": {"address": socket_address(admin)},
            "dynamic_resources": {
                "ads_config": {"api_type": form, "transport_api_version": "V3",
                               "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}]},
                "lds_config": ads, "cds_config": ads},
            "static_resources": {"clusters": [control]}})
        self.start(name, *prefix, *MESH_PROXIES[program], "-c", config, "--concurrency", "1")
        return admin

    def proxies(self):
        """What the control plane knows of its proxies: {workload: {type: state}}."""
        return {item["id"].split("~")[2].split(".")[0]: item["types"] for item in self.ask("/api/v1/proxies")["items"]}

    def settled(self, count):
        """Whether `count` proxies are connected and have taken what they were sent."""
        proxies = self.proxies()
        return len(proxies) == count and all(
            state["status"] in ("SYNCED", "NOT SENT", "IGNORED") for types in proxies.values() for state in types.values())

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


MESH_PROXIES = {
    "envoy": (ENVOY, "--use-dynamic-base-id", "--log-level", "warn"),
    "weft-proxy": (BIN / "weft-proxy", "--log-level", "warning"),
}


def service(name, endpoints, number=9080, protocol="HTTP", addresses=()):
    """A ServiceEntry, and a DestinationRule with a subset for each version: `endpoints` is {version: port or (address, port)}."""
    lines = []
    for version, place in endpoints.items():
        host, port = place if isinstance(place, tuple) else ("127.0.0.1", place)
        lines.append(f"  - {{ address: {host}, ports: {{ main: {port} }}, labels: {{ version: {version} }} }}")
    subsets = ", ".join(f"{{ name: {v}, labels: {{ version: {v} }} }}" for v in endpoints)
    return "\n".join([
        "apiVersion: networking.istio.io/v1", "kind: ServiceEntry", f"metadata: {{ name: {name} }}", "spec:",
        f"  hosts: [{name}.default.svc.cluster.local]", "  location: MESH_INTERNAL", "  resolution: STATIC",
        f"  addresses: [{', '.join(addresses)}]",
        f"  ports: [{{ number: {number}, name: main, protocol: {protocol} }}]", "  endpoints:", *lines,
        "---", "apiVersion: networking.istio.io/v1", "kind: DestinationRule", f"metadata: {{ name: {name} }}", "spec:",
        f"  host: {name}", f"  subsets: [{subsets}]", ""])


def route(name, **weights):
    """A VirtualService that spreads a service over its subsets: `route("reviews", v1=90, v2=10)`."""
    to = ", ".join(f"{{ destination: {{ host: {name}, subset: {v} }}, weight: {w} }}" for v, w in weights.items())
    return "\n".join(["apiVersion: networking.istio.io/v1", "kind: VirtualService", f"metadata: {{ name: {name} }}", "spec:",
                      f"  hosts: [{name}]", f"  http: [{{ route: [{to}] }}]", ""])


def socket_address(port, host="127.0.0.1"):
    return {"socket_address": {"address": host, "port_value": port}}


def cluster(name, *ports, http2=False, tls=None, host="127.0.0.1", **more):
    """A STATIC cluster; `tls` is a path to the trusted authority."""
    result = {"name": name, "type": "STATIC", "connect_timeout": "2s", "load_assignment": {
        "cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket_address(p, host)}} for p in ports]}]}, **more}
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
    return {"name": f"listener_{port}", "address": socket_address(port), "filter_chains": [chain]}


def bootstrap(listeners, clusters, admin=None):
    result = {"static_resources": {"listeners": listeners, "clusters": clusters}}
    if admin:
        result["admin"] = {"address": socket_address(admin)}
    return result
