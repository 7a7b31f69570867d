"""From cases to one bootstrap: each case has a listener and clusters of its own in it."""
import copy, json, pathlib, re

HTTP = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
TCP = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
FILE = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
SERVER_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
CLIENT_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

# What of a log line is compared, by name.
LOG = {
    "client": "%DOWNSTREAM_DIRECT_REMOTE_PORT%", "method": "%REQ(:METHOD)%", "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "authority": "%REQ(:AUTHORITY)%",
    "protocol": "%PROTOCOL%", "status": "%RESPONSE_CODE%", "details": "%RESPONSE_CODE_DETAILS%", "flags": "%RESPONSE_FLAGS%",
    "received": "%BYTES_RECEIVED%", "sent": "%BYTES_SENT%", "cluster": "%UPSTREAM_CLUSTER%", "route": "%ROUTE_NAME%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "grpc": "%GRPC_STATUS%", "content type": "%RESP(CONTENT-TYPE)%"}
CONNECTION_LOG = {"type": "%ACCESS_LOG_TYPE%", "protocol": "%PROTOCOL%", "client": "%DOWNSTREAM_DIRECT_REMOTE_PORT%", "status": "%RESPONSE_CODE%", "flags": "%RESPONSE_FLAGS%", "received": "%BYTES_RECEIVED%", "sent": "%BYTES_SENT%",
                  "cluster": "%UPSTREAM_CLUSTER%", "metadata": "%DYNAMIC_METADATA(envoy.filters.listener.proxy_protocol:authority)%"}
SEPARATOR = " | "


def merge(base, over):
    """`over` on top of `base`: maps are merged, all else is replaced."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return copy.deepcopy(over)
    out = dict(base)
    for key, value in over.items():
        out[key] = merge(base[key], value) if key in base else copy.deepcopy(value)
    return out


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


class Place:
    """One case in the bootstrap of one proxy: its ports and names."""

    def __init__(self, case, port, backends, certs, log):
        self.case, self.port, self.backends, self.certs, self.log = case, port, backends, certs, log
        self.prefix = case["name"].replace("/", ".")

    def cluster(self, name):
        return f"{self.prefix}.{name}"

    def words(self):
        out = {"port": self.port, "certs": str(self.certs), "log": str(self.log), "files": str(self.log) + ".files", "line": SEPARATOR.join(LOG.values()) + "\n"}
        for name, endpoints in self.backends.items():
            out["cluster." + name] = self.cluster(name)
            out["backend." + name] = endpoints[0].port
            for i, one in enumerate(endpoints):
                out[f"backend.{name}.{i}"] = one.port
        return out

    def write_files(self):
        """What the case has as files, in `${files}`."""
        for name, content in self.case.get("files", {}).items():
            pathlib.Path(self.words()["files"]).mkdir(parents=True, exist_ok=True)
            (pathlib.Path(self.words()["files"]) / name).write_text(self.fill(content) if isinstance(content, str) else json.dumps(self.fill(content)))

    def fill(self, value):
        """`${…}` in all strings; a string of nothing else keeps the type of what it stands for."""
        if isinstance(value, dict):
            return {self.fill(k): self.fill(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self.fill(v) for v in value]
        if not isinstance(value, str):
            return value
        words = self.words()
        whole = re.fullmatch(r"\$\{([\w.]+)\}", value)
        if whole and whole[1] in words:
            return words[whole[1]]
        return re.sub(r"\$\{([\w.]+)\}", lambda m: str(words[m[1]]), value)

    def named(self, value, inside=None):
        """Cluster names as they are in the common bootstrap."""
        if isinstance(value, list):
            return [self.named(v, inside) for v in value]
        if not isinstance(value, dict):
            return value
        out = {}
        for key, one in value.items():
            if isinstance(one, str) and one in self.backends and (key == "cluster" or key == "name" and inside == "clusters"):
                out[key] = self.cluster(one)
            else:
                out[key] = self.named(one, key)
        return out

    def access_log(self, parts):
        return [{"name": "file", "typed_config": {"@type": FILE, "path": str(self.log), "log_format": {
            "text_format_source": {"inline_string": SEPARATOR.join(parts.values()) + "\n"}}}}]

    def http(self):
        case = self.case
        hosts = case.get("vhosts") or [merge({"name": "all", "domains": ["*"]}, {"routes": case.get("routes", [
            {"match": {"prefix": "/"}, "route": {"cluster": "c"}}]), **case.get("vhost", {})})]
        manager = {
            "@type": HTTP, "stat_prefix": self.prefix, "server_name": "proxy", "delayed_close_timeout": "0.02s",
            "route_config": merge({"name": self.prefix, "virtual_hosts": hosts}, case.get("table", {})),
            "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER, **case.get("router", {})}}],
            "access_log": self.access_log(LOG)}
        return {"name": "envoy.filters.network.http_connection_manager", "typed_config": merge(manager, case.get("hcm", {}))}

    def tcp(self):
        proxy = {"@type": TCP, "stat_prefix": self.prefix, "cluster": "c", "access_log": self.access_log(CONNECTION_LOG)}
        over = self.case.get("tcp", {})
        if "weighted_clusters" in over:
            del proxy["cluster"]
        return {"name": "envoy.filters.network.tcp_proxy", "typed_config": merge(proxy, over)}

    def expand(self, value):
        """`$http` and `$tcp` stand for the case's connection manager and TCP proxy."""
        if isinstance(value, list):
            return [self.expand(v) for v in value]
        if isinstance(value, dict):
            return {k: self.expand(v) for k, v in value.items()}
        return self.http() if value == "$http" else self.tcp() if value == "$tcp" else value

    def listener(self):
        chain = {"filters": ["$tcp" if "tcp" in self.case else "$http"]}
        if self.case.get("tls"):
            tls = {"@type": SERVER_TLS, "common_tls_context": {"tls_certificates": [{
                "certificate_chain": {"filename": "${certs}/server.pem"}, "private_key": {"filename": "${certs}/server.key"}}],
                "alpn_protocols": ["h2", "http/1.1"]}}
            over = self.case["tls"] if isinstance(self.case["tls"], dict) else {}
            chain["transport_socket"] = {"name": "tls", "typed_config": merge(tls, over)}
        base = {"name": self.prefix, "address": address(self.port), "filter_chains": [chain]}
        return self.named(self.fill(self.expand(merge(base, self.case.get("listener", {})))))

    def clusters(self):
        out = []
        for name, endpoints in self.backends.items():
            over = self.case.get("clusters", {}).get(name) or {}
            base = {"name": self.cluster(name), "type": "STATIC", "connect_timeout": "1s", "load_assignment": {
                "cluster_name": self.cluster(name),
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(e.port)}} for e in endpoints]}]}}
            if endpoints and endpoints[0].kind == "http2":
                base["typed_extension_protocol_options"] = {OPTIONS: {
                    "@type": "type.googleapis.com/" + OPTIONS, "explicit_http_config": {"http2_protocol_options": {}}}}
            if endpoints and endpoints[0].tls:
                base["transport_socket"] = {"name": "tls", "typed_config": {"@type": CLIENT_TLS}}
            out.append(self.fill(merge(base, over)))
        return out


def ready(port):
    """A listener that does nothing: when it listens, so do those before it."""
    return {"name": "ready", "address": address(port), "filter_chains": [{"filters": [{
        "name": "envoy.filters.network.tcp_proxy", "typed_config": {"@type": TCP, "stat_prefix": "ready", "cluster": "ready"}}]}]}


def bootstrap(places, ready_port=None):
    out = {"node": {"id": "differential", "cluster": "differential"}, "static_resources": {
        "listeners": [p.listener() for p in places], "clusters": [c for p in places for c in p.clusters()]}}
    if ready_port:
        out["static_resources"]["listeners"].append(ready(ready_port))
        out["static_resources"]["clusters"].append({"name": "ready", "type": "STATIC", "connect_timeout": "1s"})
    for place in places:
        out = merge(out, place.fill(place.case.get("bootstrap", {})))
    return out
