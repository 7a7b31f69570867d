#!/usr/bin/env python3
"""One of 50 secrets is rotated under load, from files and from a discovery service: the connections to endpoints that it secured are renewed, new
clients see the new certificate, every other connection lives on, and no request fails.

Secret i is the certificate of listener i and, to its endpoint, of cluster i. The endpoint says with each answer over which of its connections the
request came and whose certificate was shown there."""
import hashlib, http.client, json, pathlib, ssl, subprocess, threading, time
import lab

lab.need(lab.BIN / "weft-proxy", "openssl")
lab.need_module("grpc")
lab.need_module("envoy")
from toy_ads import CDS, LDS, SDS, ToyADS

COUNT, ROTATED = 50, 7
ADS = {"ads": {}, "resource_api_version": "V3"}


class Authority:
    def __init__(self, directory):
        self.directory, self.serial = directory, 0
        self.certificate, self.key = directory / "ca.pem", directory / "ca.key"
        self.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=authority",
                 "-keyout", self.key, "-out", self.certificate)

    def run(self, *words):
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)

    def issue(self, name):
        """-> (certificate, key) as text."""
        self.serial += 1
        cert, key = self.directory / "issued.pem", self.directory / "issued.key"
        self.run("req", "-x509", "-CA", self.certificate, "-CAkey", self.key, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                 "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost", "-set_serial", 1000 + self.serial, "-keyout", key, "-out", cert)
        return cert.read_text(), key.read_text()


def digest(pem):
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()[:16]


def endpoint(authority, own):
    """A TLS server that wants a certificate; answers `<number of the connection> <digest of the certificate it was shown>`."""
    import http.server
    numbers = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version, wbufsize = "HTTP/1.1", -1

        def do_GET(self):
            number = numbers.setdefault(self.client_address, len(numbers))
            body = f"{number} {hashlib.sha256(self.connection.getpeercert(True)).hexdigest()[:16]}".encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 100

        def handle_error(self, *_):
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*own)
    context.load_verify_locations(authority.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


class Clients:
    """One TLS connection to each listener, asked again and again by a few threads; what each answer said is kept in order."""

    def __init__(self, ports, context):
        self.ports, self.context, self.answers, self.failures, self.over = ports, context, [[] for _ in ports], [], False
        self.connections = [self.connect(port) for port in ports]
        self.certificates = [self.shown(c) for c in self.connections]
        self.threads = [threading.Thread(target=self.run, args=(range(n, len(ports), 5),), daemon=True) for n in range(5)]
        for thread in self.threads:
            thread.start()

    def connect(self, port):
        connection = http.client.HTTPSConnection("localhost", port, context=self.context, timeout=20)
        connection.connect()
        return connection

    def shown(self, connection):
        return hashlib.sha256(connection.sock.getpeercert(True)).hexdigest()[:16]

    def run(self, mine):
        while not self.over:
            for i in mine:
                connection = self.connections[i]
                try:
                    before = connection.sock
                    connection.request("GET", "/")
                    answer = connection.getresponse()
                    text = answer.read().decode()
                    assert answer.status == 200, f"{answer.status} {text}"
                    assert connection.sock is before and before is not None, "the client's connection was closed"
                    number, certificate = text.split()
                    self.answers[i].append((int(number), certificate))
                except Exception as failure:
                    self.failures.append(f"listener {i}: {failure!r}")
                    connection.close()
                    time.sleep(0.1)
            time.sleep(0.005)

    def each_has_answers(self, more):
        counts = [len(a) for a in self.answers]
        lab.eventually("an answer to everyone", lambda: all(len(a) >= n + more for a, n in zip(self.answers, counts)), 60)

    def stop(self):
        self.over = True
        for thread in self.threads:
            thread.join(30)


def secret(i, pair):
    return {"@type": SDS, "name": f"secret-{i}", "tls_certificate": {
        "certificate_chain": {"inline_string": pair[0]}, "private_key": {"inline_string": pair[1]}}}


def resources(ports, target, source, ca):
    listeners, clusters = [], []
    for i, port in enumerate(ports):
        named = [{"name": f"secret-{i}", "sds_config": source(i)}]
        listener = lab.listener(port, lab.routes(("/", f"cluster-{i}", {})), stat_prefix=f"l{i}")
        listener["filter_chains"][0]["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": lab.TLS + "DownstreamTlsContext", "common_tls_context": {"tls_certificate_sds_secret_configs": named}}}
        cluster = lab.cluster(f"cluster-{i}", target)
        cluster["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": lab.TLS + "UpstreamTlsContext", "sni": "localhost", "common_tls_context": {
                "tls_certificate_sds_secret_configs": named, "validation_context": {"trusted_ca": {"filename": str(ca)}}}}}
        listeners.append(listener)
        clusters.append(cluster)
    return listeners, clusters


def check(form):
    with lab.Lab() as world:
        authority = Authority(world.directory)
        own = authority.issue("endpoint")
        target = endpoint(authority, (world.write("endpoint.pem", own[0]), world.write("endpoint.key", own[1])))
        pairs = [authority.issue(f"secret-{i}") for i in range(COUNT)]
        ports = lab.free_ports(COUNT)
        admin = lab.free_port()
        ads = None
        if form == "files":
            def put(i, pair):
                fresh = world.write(f"secret-{i}.new", json.dumps({"resources": [secret(i, pair)]}))
                fresh.rename(world.directory / f"secret-{i}.json")

            for i, pair in enumerate(pairs):
                put(i, pair)
            listeners, clusters = resources(
                ports, target, lambda i: {"path_config_source": {"path": str(world.directory / f"secret-{i}.json")}}, authority.certificate)
            bootstrap = lab.bootstrap(listeners, clusters, admin)
        else:
            listeners, clusters = resources(ports, target, lambda i: ADS, authority.certificate)
            whole = [{"@type": LDS, **item} for item in listeners] + [{"@type": CDS, **item} for item in clusters]
            secrets = [secret(i, pair) for i, pair in enumerate(pairs)]
            ads = ToyADS("1", whole + secrets)
            xds = ads.start()

            def put(i, pair):
                secrets[i] = secret(i, pair)
                ads.set("2", whole + secrets)

            bootstrap = {
                "node": {"id": "rotation", "cluster": "case"}, "admin": {"address": lab.socket_address(admin)},
                "dynamic_resources": {
                    "ads_config": {"api_type": form, "transport_api_version": "V3", "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}]},
                    "lds_config": ADS, "cds_config": ADS},
                "static_resources": {"clusters": [lab.cluster("xds", xds, http2=True)]}}
        world.proxy(bootstrap, ports[-1])
        lab.eventually("every listener listens", lambda: all(lab.listens(port) for port in ports))

        def counters():
            text = lab.http_get(admin, "/stats")[1]
            return {n: int(v) for n, v in (line.split(": ", 1) for line in text.splitlines() if ": " in line) if v.isdigit()}

        context = ssl.create_default_context(cafile=str(authority.certificate))
        clients = Clients(ports, context)
        clients.each_has_answers(3)
        settled = counters()
        fresh = authority.issue(f"secret-{ROTATED}")
        put(ROTATED, fresh)
        lab.eventually("the endpoint is shown the new certificate", lambda: clients.answers[ROTATED][-1][1] == digest(fresh[0]))
        clients.each_has_answers(10)
        clients.stop()
        after = counters()

        assert not clients.failures, clients.failures[:5]
        for i, answers in enumerate(clients.answers):
            numbers = list(dict.fromkeys(answers))
            old = digest(pairs[i][0])
            if i == ROTATED:
                assert [c for _, c in numbers] == [old, digest(fresh[0])], numbers
            else:
                assert [c for _, c in numbers] == [old], f"cluster {i} needed {numbers}"
            new = clients.connect(ports[i])
            assert clients.shown(new) == (digest(fresh[0]) if i == ROTATED else old) and clients.certificates[i] == old, f"listener {i}"
            new.close()
            name = f"listener.127.0.0.1_{ports[i]}.server_ssl_socket_factory.ssl_context_update_by_sds"
            changed = {n: after[n] - settled[n] for n in after if n == name or n.startswith(f"cluster.cluster-{i}.") and (
                n.endswith(("ssl_context_update_by_sds", "upstream_cx_total", "upstream_cx_destroy")))}
            assert len(changed) == 4 and set(changed.values()) == ({1} if i == ROTATED else {0}), changed
        failed = {n: v for n, v in after.items() if v and n.startswith(("cluster.cluster-", "http.l")) and n.endswith(
            ("_5xx", "cx_connect_fail", "rx_reset", "rq_retry", "pending_failure_eject", "drain_close"))}
        assert not failed, failed
        if ads:
            ads.stop()
        print(f"ok    {form}: {sum(map(len, clients.answers))} requests")


for form in ("files", "DELTA_GRPC", "GRPC"):
    check(form)
print("one of 50 secrets, from files and over discovery")
