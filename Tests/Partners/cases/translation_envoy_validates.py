#!/usr/bin/env python3
"""Every resource of the translation's golden cases, accepted by a real Envoy (`--mode validate`).

Clusters and listeners go into a static bootstrap as they are; route configurations and load assignments, which a static
bootstrap cannot name, go inline into a listener and a cluster of their own.
"""
import json, os, pathlib, shutil, subprocess, sys, tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "Tests" / "Golden" / "translation"
ENVOY = pathlib.Path(os.environ["WEFT_PARTNERS"]) / "venv" / "bin" / "envoy"
TYPE = "type.googleapis.com/"


def plain(resource):
    return {key: value for key, value in resource.items() if key != "@type"}


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def bootstrap(golden):
    sections = {name: [entry["resource"] for entry in golden.get(name, [])] for name in ("CDS", "EDS", "LDS", "RDS")}
    listeners = [plain(r) for r in sections["LDS"] if "api_listener" not in r]
    clusters = [plain(r) for r in sections["CDS"]]
    for index, route in enumerate(sections["RDS"]):
        manager = {
            "@type": TYPE + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "check", "route_config": plain(route),
            "http_filters": [{"name": "router", "typed_config": {
                "@type": TYPE + "envoy.extensions.filters.http.router.v3.Router"}}],
        }
        listeners.append({"name": f"check_{index}", "address": address(20000 + index),
                          "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}]})
    for index, assignment in enumerate(sections["EDS"]):
        clusters.append({"name": f"check_{index}", "type": "STATIC", "connect_timeout": "1s",
                         "load_assignment": dict(plain(assignment), cluster_name=f"check_{index}")})
    clusters.append({
        "name": "xds", "type": "STATIC", "connect_timeout": "1s",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": TYPE + "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}}}},
        "load_assignment": {"cluster_name": "xds", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(1)}}]}]},
    })
    return {
        "node": {"id": "sidecar~10.0.0.1~a.b~b.svc.cluster.local", "cluster": "check"},
        "dynamic_resources": {"ads_config": {"api_type": "GRPC", "transport_api_version": "V3",
                                             "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}]}},
        "static_resources": {"listeners": listeners, "clusters": clusters},
    }


def main():
    if not ENVOY.exists():
        print("no Envoy")
        return 77
    failed = 0
    with tempfile.TemporaryDirectory() as directory:
        key, certificate = f"{directory}/key.pem", f"{directory}/cert.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
                        "-days", "2", "-subj", "/CN=shop.example.com"], check=True, capture_output=True)
        files = sorted(GOLDEN.glob("*.expected.json"))
        for file in files:
            text = file.read_text().replace('"CERT"', json.dumps(certificate)).replace('"KEY"', json.dumps(key))
            text = text.replace('"/etc/ca.pem"', json.dumps(certificate))
            path = pathlib.Path(directory) / "bootstrap.json"
            path.write_text(json.dumps(bootstrap(json.loads(text))))
            done = subprocess.run([str(ENVOY), "--mode", "validate", "-c", str(path), "-l", "error"],
                                  capture_output=True, text=True, timeout=120)
            if done.returncode != 0:
                failed += 1
                print(f"{file.name}: {(done.stderr or done.stdout).strip()[-1500:]}")
    print(f"{len(files)} cases, {failed} refused")
    return 1 if failed or len(files) < 10 else 0


if __name__ == "__main__":
    sys.exit(main())
