#!/usr/bin/env python3
"""One bootstrap on a stock Envoy and on weft-proxy: runtime values that the admin page sets, what /runtime shows of them and what they do to requests; and the
log of ejections, line by line and field by field."""
import http.server, json, threading
import lab

HTTP_OPTIONS = {"@type": f"type.googleapis.com/{lab.HTTP_OPTIONS}", "explicit_http_config": {"http_protocol_options": {}}}
LAYERS = [
    {"name": "base", "static_layer": {"a": {"b": 5, "c": "7", "d": True}, "half": 1.5, "share": 0}},
    {"name": "admin", "admin_layer": {}},
    {"name": "top", "static_layer": {"fixed": "x"}}]


class Server(http.server.BaseHTTPRequestHandler):
    """Answers with the status that the path ends with."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(int(self.path.rsplit("/", 1)[1]))
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def configuration(front, admin, upstream, log):
    cluster = lab.cluster("c", upstream, outlier_detection={
        "consecutive_5xx": 4, "consecutive_gateway_failure": 2, "enforcing_consecutive_gateway_failure": 0,
        "enforcing_success_rate": 0, "interval": "0.3s", "base_ejection_time": "0.5s", "max_ejection_percent": 100})
    routes = lab.routes(("/", "c", {}))
    routes["virtual_hosts"][0]["routes"].insert(0, {
        "match": {"path": "/switched/200", "runtime_fraction": {"default_value": {"numerator": 0}, "runtime_key": "share"}},
        "direct_response": {"status": 202}})
    config = lab.bootstrap([lab.listener(front, routes)], [cluster], admin)
    config["layered_runtime"] = {"layers": LAYERS}
    config["cluster_manager"] = {"outlier_detection": {"event_log_path": str(log)}}
    return config


def lines(path):
    out = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    for line in out:
        assert line.pop("timestamp").endswith("Z"), line
        if "secs_since_last_action" in line:
            assert line.pop("secs_since_last_action").isdigit(), line
            line["had a last action"] = True
    return out


def play(front, admin, log):
    """What is seen of one of them."""
    seen = []

    def modify(query):
        status, body = lab.http_get(admin, "/runtime_modify" + query, method="POST")[:2]
        seen.append((query, status, body.strip()))

    for query in ("", "?share=100", "?a.b=9&a.b=10&new=text", "?new=", "?share=100", "?fixed=1"):
        modify(query)
        seen.append(lab.http_get(front, "/switched/200")[0])
        seen.append(json.loads(lab.http_get(admin, "/runtime")[1]))
    page = lab.http_get(admin, "/stats?filter=^runtime")[1]
    numbers = dict(line.split(": ") for line in page.splitlines())
    seen.append([(name, numbers[f"runtime.{name}"]) for name in ("num_keys", "num_layers", "admin_overrides_active", "load_error")])
    modify("?circuit_breakers.c.default.max_requests=0")
    seen.append(lab.http_get(front, "/x/200")[0])
    modify("?circuit_breakers.c.default.max_requests=")
    modify("?upstream.maintenance_mode.c=100")
    seen.append(lab.http_get(front, "/x/200")[:2])
    modify("?upstream.maintenance_mode.c=")
    # Workers hear of a value a moment after the page has answered: a failure that maintenance made would be missing from those in a row.
    lab.eventually("the end of maintenance", lambda: lab.http_get(front, "/x/200")[0] == 200)
    for _ in range(4):
        lab.http_get(front, "/x/503")
    lab.eventually("the end of the ejection in the log", lambda: len(lines(log)) >= 4)
    seen += lines(log)
    return seen


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
with lab.Lab() as world:
    seen = {}
    for name in ("envoy", "weft"):
        front, admin = lab.free_ports(2)
        log = world.directory / f"{name}.events"
        config = configuration(front, admin, server.server_address[1], log)
        if name == "envoy":
            world.start("envoy", lab.ENVOY, "-c", world.write("envoy.json", config), "--use-dynamic-base-id", "--concurrency", "1",
                        "--log-level", "critical", port=front)
        else:
            world.proxy(config, front)
        seen[name] = play(front, admin, log)
    for theirs, ours in zip(seen["envoy"], seen["weft"], strict=True):
        lab.expect(theirs == ours, f"Envoy {theirs}, weft-proxy {ours}")
    kinds = [(line["type"], line["action"], line["enforced"]) for line in seen["weft"][-4:]]
    lab.expect(kinds == [
        ("CONSECUTIVE_GATEWAY_FAILURE", "EJECT", False), ("CONSECUTIVE_GATEWAY_FAILURE", "EJECT", False),
        ("CONSECUTIVE_5XX", "EJECT", True), ("CONSECUTIVE_5XX", "UNEJECT", False)], kinds)
    print("runtime values and the log of ejections: as Envoy's")
