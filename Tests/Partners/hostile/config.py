"""Random valid configurations, as files that the proxy watches: clusters, listeners, one route table."""
import json, os, random

from loopback import http_get

V3 = "type.googleapis.com/envoy."
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
TLS = V3 + "extensions.transport_sockets.tls.v3."


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def typed(name, type_url, **fields):
    return {"name": name, "typed_config": {"@type": V3 + type_url, **fields}}


class Configuration:
    """`servers`: {name: port} of hostile servers and of the honest ones (`good-h1`, `good-h2`); `ports`: of the proxy."""

    def __init__(self, directory, servers, ports, certificate, key):
        self.directory, self.servers, self.ports, self.certificate, self.key = directory, servers, ports, str(certificate), str(key)
        self.version = 0
        self.buffer = None  # of listeners and honest clusters, instead of a random one

    def write(self, name, resources):
        self.version += 1
        fresh = self.directory / f"{name}.new"
        fresh.write_text(json.dumps({"version_info": str(self.version), "resources": resources}))
        os.replace(fresh, self.directory / f"{name}.json")

    def source(self, name):
        return {"path_config_source": {"path": str(self.directory / f"{name}.json")}}

    def bootstrap(self, admin):
        self.admin = admin
        return {"node": {"id": "hostile", "cluster": "hostile"}, "admin": {"address": address(admin)},
                "layered_runtime": {"layers": [{"name": "admin", "admin_layer": {}}]},
                "dynamic_resources": {"lds_config": self.source("lds"), "cds_config": self.source("cds")}}

    # Clusters

    def cluster(self, name, port, protocol, rng=None, tls=False):
        options = {"@type": V3 + HTTP_OPTIONS.removeprefix("envoy.")}
        http2 = {}
        if rng:
            if rng.random() < 0.3:
                http2 = {"max_concurrent_streams": rng.choice((1, 10, 1000)), "initial_stream_window_size": rng.choice((65535, 2**20)),
                         "initial_connection_window_size": rng.choice((65535, 2**24))}
            if rng.random() < 0.3:
                http2["connection_keepalive"] = {"interval": "0.5s", "timeout": "0.3s"}
            if rng.random() < 0.3:
                options["common_http_protocol_options"] = {
                    "max_requests_per_connection": rng.choice((1, 2, 20)), "max_connection_duration": rng.choice(("0.3s", "2s")), "idle_timeout": "1s"}
        options.setdefault("common_http_protocol_options", {"idle_timeout": "1s"})
        if protocol == "like":
            options["use_downstream_protocol_config"] = {"http_protocol_options": {}, "http2_protocol_options": http2}
        else:
            options["explicit_http_config"] = {"http2_protocol_options": http2} if protocol == "h2" else {"http_protocol_options": {}}
        many = {"max_connections": 10000, "max_pending_requests": 100000, "max_requests": 100000, "max_retries": 1000}
        breakers = many if not rng or rng.random() < 0.7 else {
            "max_connections": rng.choice((1, 3, 100)), "max_pending_requests": rng.choice((1, 100)), "max_requests": rng.choice((5, 1000)),
            "max_retries": rng.choice((0, 3))}
        result = {
            "@type": V3 + "config.cluster.v3.Cluster", "name": name, "type": "STATIC", "connect_timeout": "1s" if rng else "5s",
            "per_connection_buffer_limit_bytes": rng.choice((1024, 16384, 2**20)) if rng else 2**20,
            "circuit_breakers": {"thresholds": [breakers]},
            "typed_extension_protocol_options": {HTTP_OPTIONS: options},
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}]}}
        if rng and rng.random() < 0.3:
            result["outlier_detection"] = {"consecutive_5xx": rng.choice((1, 5)), "interval": "0.5s", "base_ejection_time": "0.5s", "max_ejection_percent": 100}
        if rng:
            result["lb_policy"] = rng.choice(("ROUND_ROBIN", "LEAST_REQUEST", "RANDOM", "RING_HASH", "MAGLEV"))
        if tls:
            result["transport_socket"] = typed("envoy.transport_sockets.tls", "extensions.transport_sockets.tls.v3.UpstreamTlsContext", sni="localhost",
                                               common_tls_context={"alpn_protocols": ["h2" if protocol == "h2" else "http/1.1"]})
        if rng and rng.random() < 0.2:
            inner = result.get("transport_socket") or typed("envoy.transport_sockets.raw_buffer", "extensions.transport_sockets.raw_buffer.v3.RawBuffer")
            result["transport_socket"] = typed(
                "envoy.transport_sockets.upstream_proxy_protocol", "extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
                config={"version": rng.choice(("V1", "V2"))}, transport_socket=inner)
        return result

    def clusters(self, rng):
        at = self.servers
        self.write("cds", [
            self.cluster("good-h1", at["good-h1"], "h1"), self.cluster("good-h2", at["good-h2"], "h2"),
            self.cluster("bad-h1", at["h1"], "h1", rng), self.cluster("bad-h2", at["h2"], "h2", rng),
            self.cluster("bad-h1-tls", at["h1-tls"], "h1", rng, tls=True), self.cluster("bad-h2-tls", at["h2-tls"], "h2", rng, tls=True),
            self.cluster("bad-like", at["h1"], "like", rng), self.cluster("raw", at["raw"], "h1", rng), self.cluster("dead", at["dead"], "h1", rng)])

    # Routes

    def routes(self, rng):
        def forward(prefix, cluster, **more):
            timeout = rng.choice(("0.3s", "2s", "0s"))
            route = {"cluster": cluster, "timeout": timeout, "idle_timeout": rng.choice(("1s", "3s")), **more}
            if rng.random() < 0.3:
                route["hash_policy"] = [rng.choice((
                    {"header": {"header_name": "x-a"}}, {"connection_properties": {"source_ip": True}}, {"query_parameter": {"name": "q"}},
                    {"cookie": {"name": "c", "ttl": "1s"}}))]
            if rng.random() < 0.2:
                route["request_mirror_policies"] = [{"cluster": rng.choice(("bad-h1", "bad-h2", "dead", "good-h1"))}]
            if rng.random() < 0.2 and "retry_policy" in more:
                route["hedge_policy"] = {"hedge_on_per_try_timeout": True}
            return {"match": {"prefix": prefix}, "route": route}

        def direct(path, status, text):
            return {"match": {"path": path}, "direct_response": {"status": status, "body": {"inline_string": text}}}

        def retry():
            return {"retry_policy": {"retry_on": "5xx,reset,connect-failure,refused-stream,retriable-4xx", "num_retries": rng.choice((1, 3)),
                                     "per_try_timeout": rng.choice(("0.2s", "1s")), "retry_back_off": {"base_interval": "0.005s"}}}

        mutation = {"typed_per_filter_config": {"envoy.filters.http.header_mutation": {
            "@type": V3 + "extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute",
            "mutations": {"request_mutations": [{"append": {"header": {"key": "x-m", "value": "%REQ(x-a)%%REQ(:path)%"}}}],
                          "response_mutations": [{"remove": "content-type"}, {"append": {"header": {"key": "x-m", "value": "%RESP(x-high)%%RESP(location)%"}}}]}}}}
        limit = {"typed_per_filter_config": {"envoy.filters.http.local_ratelimit": {
            "@type": V3 + "extensions.filters.http.local_ratelimit.v3.LocalRateLimit", "stat_prefix": "limited",
            "token_bucket": {"max_tokens": rng.choice((1, 10)), "tokens_per_fill": 1, "fill_interval": "0.1s"},
            "filter_enabled": {"default_value": {"numerator": 100}}, "filter_enforced": {"default_value": {"numerator": 100}}}}}
        fault = {"typed_per_filter_config": {"envoy.filters.http.fault": {
            "@type": V3 + "extensions.filters.http.fault.v3.HTTPFault",
            "delay": {"fixed_delay": rng.choice(("0.05s", "0.5s")), "percentage": {"numerator": 80}},
            "abort": {"http_status": 503, "percentage": {"numerator": 20}}}}}
        entries = [
            {"match": {"connect_matcher": {}}, "route": {"cluster": "bad-h1", "idle_timeout": "2s", "upgrade_configs": [
                {"upgrade_type": "CONNECT", **({"connect_config": {}} if rng.random() < 0.5 else {})}]}},
            *[{"match": {"prefix": f"/good-{p}/"}, "route": {"cluster": f"good-{p}", "timeout": "0s"}} for p in ("h1", "h2")],
            *[forward(f"/{name}/", name, **(retry() if rng.random() < 0.3 else {}))
              for name in ("bad-h1", "bad-h2", "bad-h1-tls", "bad-h2-tls", "bad-like", "dead", "nobody")],
            forward("/retry-h1/", "bad-h1", **retry()), forward("/retry-h2/", "bad-h2", **retry()),
            forward("/socket/", rng.choice(("bad-h1", "bad-h2")), upgrade_configs=[{"upgrade_type": "websocket"}]),
            {**forward("/fault/", "good-h1"), **fault}, {**forward("/limited/", "good-h1"), **limit}, {**forward("/mutated/", "bad-h1"), **mutation},
            {"match": {"path": "/redirect"}, "redirect": {"host_redirect": "b", "path_redirect": "/x"}},
            direct("/direct", 200, "directly"), direct("/direct-204", 204, "hello"), direct("/direct-grpc", 403, "a\nb\0c%é"), direct("/direct-large", 200, "x" * 4000)]
        # Those nobody takes come and go in front.
        entries = [forward(f"/unused-{i}", "good-h1") for i in range(rng.randint(0, 3))] + entries
        self.write("rds", [{"@type": V3 + "config.route.v3.RouteConfiguration", "name": "routes",
                            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": entries}]}])

    # Listeners

    def manager(self, rng, prefix, patient=False):
        """`patient`: an innocent on a busy machine runs into none of its time-outs, and nobody is asked about it."""
        filters = [
            typed("envoy.filters.http.header_mutation", "extensions.filters.http.header_mutation.v3.HeaderMutation"),
            typed("envoy.filters.http.fault", "extensions.filters.http.fault.v3.HTTPFault"),
            typed("envoy.filters.http.local_ratelimit", "extensions.filters.http.local_ratelimit.v3.LocalRateLimit", stat_prefix="limit"),
            typed("envoy.filters.http.cors", "extensions.filters.http.cors.v3.Cors")]
        if not patient and rng.random() < 0.4:
            bad = rng.choice(("bad-h1", "bad-h2", "raw", "dead"))
            service = {"grpc_service": {"envoy_grpc": {"cluster_name": bad}, "timeout": "0.2s"}} if rng.random() < 0.5 else {
                "http_service": {"server_uri": {"uri": "http://authz", "cluster": bad, "timeout": "0.2s"}}}
            body = {"with_request_body": {"max_request_bytes": rng.choice((10, 10000)), "allow_partial_message": rng.random() < 0.5}}
            filters.insert(0, typed("envoy.filters.http.ext_authz", "extensions.filters.http.ext_authz.v3.ExtAuthz", transport_api_version="V3",
                                    failure_mode_allow=rng.random() < 0.5, **service, **(body if rng.random() < 0.5 else {})))
        rng.shuffle(filters)
        fields = {
            "stat_prefix": prefix, "codec_type": "AUTO", "rds": {"route_config_name": "routes", "config_source": self.source("rds")},
            "http_filters": [*filters[:rng.randint(2, 4)], typed("envoy.filters.http.router", "extensions.filters.http.router.v3.Router")],
            "stream_idle_timeout": "60s" if patient else rng.choice(("2s", "20s")),
            "request_headers_timeout": "20s" if patient else rng.choice(("1s", "5s")), "delayed_close_timeout": "0.5s",
            "common_http_protocol_options": {"idle_timeout": "20s"},
            "http2_protocol_options": {"max_concurrent_streams": rng.choice((10, 100, 1000)), "initial_stream_window_size": rng.choice((65535, 2**20)),
                                       "initial_connection_window_size": rng.choice((65535, 2**24)), "allow_connect": rng.random() < 0.5},
            "upgrade_configs": [{"upgrade_type": "CONNECT"}] if rng.random() < 0.5 else [],
            "access_log": [typed("envoy.access_loggers.file", "extensions.access_loggers.file.v3.FileAccessLog", path="/dev/null")]}
        if rng.random() < 0.3 and not patient:
            fields["request_timeout"] = "5s"
        return typed("envoy.filters.network.http_connection_manager", "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", **fields)

    def listener(self, name, port, rng, network_filter, tls=False, detect=False):
        chain = {"filters": [network_filter]}
        if tls:
            chain["transport_socket"] = typed(
                "envoy.transport_sockets.tls", "extensions.transport_sockets.tls.v3.DownstreamTlsContext", common_tls_context={
                    "alpn_protocols": ["h2", "http/1.1"],
                    "tls_certificates": [{"certificate_chain": {"filename": self.certificate}, "private_key": {"filename": self.key}}]})
        result = {"@type": V3 + "config.listener.v3.Listener", "name": name, "address": address(port), "filter_chains": [chain],
                  "per_connection_buffer_limit_bytes": self.buffer or rng.choice((1024, 32768, 2**20)), "listener_filters_timeout": "1s"}
        if not self.is_stable(name) and rng.random() < 0.2:
            chain["filters"].insert(0, typed("envoy.filters.network.connection_limit", "extensions.filters.network.connection_limit.v3.ConnectionLimit",
                                             stat_prefix="limit", max_connections=rng.choice((1, 10)), delay=rng.choice(("0s", "0.2s"))))
        if not self.is_stable(name) and rng.random() < 0.2:
            chain["filters"].insert(0, typed(
                "envoy.filters.network.local_ratelimit", "extensions.filters.network.local_ratelimit.v3.LocalRateLimit", stat_prefix="rate",
                token_bucket={"max_tokens": rng.choice((1, 50)), "tokens_per_fill": 10, "fill_interval": "0.1s"}))
        if detect:
            result["listener_filters"] = [
                *([typed("envoy.filters.listener.proxy_protocol", "extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
                         allow_requests_without_proxy_protocol=rng.random() < 0.8)] if rng.random() < 0.5 else []),
                typed("envoy.filters.listener.tls_inspector", "extensions.filters.listener.tls_inspector.v3.TlsInspector"),
                typed("envoy.filters.listener.http_inspector", "extensions.filters.listener.http_inspector.v3.HttpInspector")]
        return result

    @staticmethod
    def is_stable(name):
        """Innocents use it."""
        return name in ("plain", "tls")

    def listeners(self, rng, stable):
        """`stable`: the source of chance of the listeners that innocents use, the same for a whole round."""
        table = [self.listener("plain", self.ports["plain"], stable, self.manager(stable, "plain", patient=True)),
                 self.listener("tls", self.ports["tls"], stable, self.manager(stable, "tls", patient=True), tls=True)]
        if rng.random() < 0.7:
            table.append(self.listener("churn", self.ports["churn"], rng, self.manager(rng, "churn"), tls=rng.random() < 0.2, detect=rng.random() < 0.5))
        if rng.random() < 0.8:
            tcp = typed("envoy.filters.network.tcp_proxy", "extensions.filters.network.tcp_proxy.v3.TcpProxy", stat_prefix="tcp",
                        cluster=rng.choice(("raw", "bad-h1", "dead")), idle_timeout="2s", max_connect_attempts=rng.choice((1, 3)))
            ends = (tcp, tcp, typed("envoy.filters.network.echo", "extensions.filters.network.echo.v3.Echo"),
                    typed("envoy.filters.network.direct_response", "extensions.filters.network.direct_response.v3.Config",
                          response={"inline_string": "no" * rng.choice((1, 50000))}))
            table.append(self.listener("tcp", self.ports["tcp"], rng, rng.choice(ends)))
        rng.shuffle(table)
        self.write("lds", table)

    def runtime(self, rng):
        """Values that filters and breakers of hostile clusters look at; empty ones take them back."""
        keys = {"fault.http.delay.fixed_delay_percent": ("", 0, 100), "fault.http.abort.abort_percent": ("", 0, 50),
                "circuit_breakers.bad-h1.default.max_requests": ("", 0, 1, 1000), "circuit_breakers.bad-h2.default.max_retries": ("", 0, 3),
                "no.such.key": ("", "x" * 100)}
        changes = "&".join(f"{key}={rng.choice(values)}" for key, values in keys.items() if rng.random() < 0.5)
        if changes:
            http_get(self.admin, f"/runtime_modify?{changes}", method="POST", timeout=30)

    def all(self, rng, seed):
        self.clusters(rng)
        self.routes(rng)
        self.listeners(rng, random.Random(seed))

    def change(self, rng, seed):
        what = rng.random()
        if what < 0.1:
            self.runtime(rng)
        elif what < 0.4:
            self.routes(rng)
        elif what < 0.7:
            self.clusters(rng)
        else:
            self.listeners(rng, random.Random(seed))
