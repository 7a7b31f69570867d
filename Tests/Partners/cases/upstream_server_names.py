#!/usr/bin/env python3
"""A TLS server of OpenSSL's that chooses its certificate by SNI, behind weft-proxy: each authority's connections ask for its name and accept no
other's certificate; endpoints' own names, too; what came of it shows in the statistics and on /clusters."""
import json, socket, ssl, subprocess, threading
import lab

lab.need("openssl")
OPTIONS = {"@type": f"type.googleapis.com/{lab.HTTP_OPTIONS}", "explicit_http_config": {"http_protocol_options": {}}}


def certificates(world, names):
    """An authority and a certificate for each name."""
    here = world.directory
    run = lambda *words: subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
    ca, ca_key = here / "names-ca.pem", here / "names-ca.key"
    run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=names", "-keyout", ca_key, "-out", ca)
    issued = {}
    for name in names:
        key, request, certificate, extra = (here / f"{name}.{end}" for end in ("key", "csr", "pem", "ext"))
        extra.write_text(f"subjectAltName=DNS:{name}\n")
        run("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        run("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "2", "-extfile", extra, "-out", certificate)
        issued[name] = (certificate, key)
    return ca, issued


def serve(issued, asked):
    """Answers every request with the SNI of its connection; a name without a certificate gets the first one's. Returns the port."""
    contexts = {}
    for name, (certificate, key) in issued.items():
        contexts[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        contexts[name].load_cert_chain(certificate, key)
    first = next(iter(contexts.values()))

    def chosen(connection, name, _):
        asked.append(name)
        connection.context = contexts.get(name, first)
    first.sni_callback = chosen

    def talk(raw):
        try:
            with first.wrap_socket(raw, server_side=True) as connection:
                mine = asked[-1] if asked else None
                stream = connection.makefile("rb")
                while line := stream.readline():
                    head = [line]
                    while (line := stream.readline()) not in (b"\r\n", b""):
                        head.append(line)
                    host = next(h.split(b":", 1)[1].strip() for h in head if h.lower().startswith(b"host:"))
                    body = f"{mine} {host.decode()}".encode()
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        except (OSError, ssl.SSLError):
            pass

    listener = socket.create_server(("127.0.0.1", 0))

    def accept():
        while True:
            talk_to = listener.accept()[0]
            # One handshake at a time: the name asked for last is this connection's.
            threading.Thread(target=talk, args=(talk_to,), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def cluster(name, port, ca, context, hostname=None, **options):
    result = lab.cluster(name, port, tls=ca)
    del result["transport_socket"]["typed_config"]["sni"]
    result["transport_socket"]["typed_config"].update(context)
    result["typed_extension_protocol_options"] = {lab.HTTP_OPTIONS: {**OPTIONS, "upstream_http_protocol_options": options}}
    if hostname:
        result["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["hostname"] = hostname
    return result


with lab.Lab() as world:
    ca, issued = certificates(world, ["a.test", "b.test"])
    asked = []
    port = serve(issued, asked)
    front, admin = lab.free_ports(2)
    world.proxy(lab.bootstrap(
        [lab.listener(front, lab.routes(("/own", "own", {}), ("/rewritten", "named", {"host_rewrite_literal": "b.test"}), ("/", "named", {})))],
        [cluster("named", port, ca, {}, auto_sni=True, auto_san_validation=True),
         cluster("own", port, ca, {"auto_host_sni": True, "auto_sni_san_validation": True}, hostname="b.test")], admin), front)

    def get(host, path="/"):
        return lab.http_get(front, path, host)[:2]

    for _ in range(3):
        for host in ("a.test", "b.test"):
            assert get(host) == (200, f"{host} {host}"), get(host)
    assert get("a.test", "/rewritten") == (200, "b.test b.test"), "the name is the one the route gives"
    assert asked == ["a.test", "b.test"], f"two names, two connections: {asked}"
    status, body = get("c.test")
    assert status == 503, f"a certificate for another name must not pass: {status} {body}"
    assert get("anything", "/own") == (200, "b.test anything")

    page = lab.http_get(admin, "/stats?filter=^cluster.named.ssl")[1]
    numbers = dict(line.split(": ") for line in page.splitlines())
    assert numbers["cluster.named.ssl.handshake"] == "2" and int(numbers["cluster.named.ssl.fail_verify_san"]) >= 1, page
    clusters = json.loads(lab.http_get(admin, "/clusters?format=json")[1])["cluster_statuses"]
    host = next(c for c in clusters if c["name"] == "named")["host_statuses"][0]
    stats = {s["name"]: int(s.get("value", 0)) for s in host["stats"]}
    assert stats["rq_success"] == 7 and stats["rq_error"] >= 1 and stats["cx_active"] == 2, stats
    assert stats["cx_connect_fail"] >= 1 and stats["cx_total"] == 2 + stats["cx_connect_fail"], stats
    print("certificates by SNI: each authority its own connections and its own certificate; refusals counted")
