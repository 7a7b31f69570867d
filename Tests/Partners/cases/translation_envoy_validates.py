#!/usr/bin/env python3
"""Every resource of the translation's golden cases, accepted by a real Envoy (`--mode validate`).

Clusters and listeners go into a static bootstrap as they are; route configurations and load assignments, which a static
bootstrap cannot name, go inline into a listener and a cluster of their own.
"""
import json, subprocess, sys
import lab

lab.need(lab.ENVOY, "openssl")
GOLDEN = lab.ROOT / "Tests" / "Golden" / "translation"


def plain(resource):
    return {key: value for key, value in resource.items() if key != "@type"}


def bootstrap(golden):
    sections = {name: [entry["resource"] for entry in golden.get(name, [])] for name in ("CDS", "EDS", "LDS", "RDS")}
    listeners = [plain(r) for r in sections["LDS"] if "api_listener" not in r]
    clusters = [plain(r) for r in sections["CDS"]]
    for index, route in enumerate(sections["RDS"]):
        listeners.append(lab.listener(20000 + index, plain(route)))
    for index, assignment in enumerate(sections["EDS"]):
        clusters.append({"name": f"check_{index}", "type": "STATIC", "connect_timeout": "1s",
                         "load_assignment": dict(plain(assignment), cluster_name=f"check_{index}")})
    clusters.append(lab.cluster("xds", 1, http2=True))
    return {
        "node": {"id": "sidecar~10.0.0.1~a.b~b.svc.cluster.local", "cluster": "check"},
        "dynamic_resources": {"ads_config": {"api_type": "GRPC", "transport_api_version": "V3",
                                             "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}]}},
        "static_resources": {"listeners": listeners, "clusters": clusters},
    }


failed = 0
with lab.Lab() as world:
    ca, certificate, key = world.certificates()
    files = sorted(GOLDEN.glob("*.expected.json"))
    for file in files:
        text = file.read_text().replace('"CERT"', json.dumps(str(certificate))).replace('"KEY"', json.dumps(str(key)))
        path = world.write("bootstrap.json", bootstrap(json.loads(text.replace('"/etc/ca.pem"', json.dumps(str(ca))))))
        done = subprocess.run([lab.ENVOY, "--mode", "validate", "-c", path, "-l", "error"], capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            failed += 1
            print(f"{file.name}: {(done.stderr or done.stdout).strip()[-1500:]}")
print(f"{len(files)} cases, {failed} refused")
sys.exit(1 if failed or len(files) < 10 else 0)
