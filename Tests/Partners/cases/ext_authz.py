#!/usr/bin/env python3
"""A real gRPC authorization server (grpcio, Envoy's published messages) beside stock Envoy and weft-proxy: what both ask, and what comes of each answer."""
import concurrent.futures, http.client, json, os, sys
import lab

grpc = lab.need_module("grpc")
lab.need_module("envoy")
lab.need(lab.ENVOY)
from envoy.service.auth.v3 import external_auth_pb2 as auth  # noqa: E402
from envoy.config.core.v3 import base_pb2 as core  # noqa: E402
from google.protobuf import json_format, struct_pb2  # noqa: E402

FILTER = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3."


def option(name, value, **more):
    return core.HeaderValueOption(header=core.HeaderValue(key=name, value=value), **more)


def ok(**parts):
    out = auth.CheckResponse(ok_response=auth.OkHttpResponse(**parts))
    out.status.code = 0
    return out


def denied(status=0, body="", headers=(), code=7, kind="denied_response"):
    response = auth.DeniedHttpResponse(body=body, headers=headers)
    if status:
        response.status.code = status
    out = auth.CheckResponse(**{kind: response})
    out.status.code = code
    return out


Action = core.HeaderValueOption.HeaderAppendAction
# What the server answers to a request for /<name>, beside plain 200s.
ANSWERS = {
    "plain": auth.CheckResponse(),
    "set": ok(headers=[option("x-new", "1"), option("x-old", "2")]),
    "append": ok(headers=[option("x-new", "1", append={"value": True}), option("x-old", "2", append={"value": True})]),
    "append-action": ok(headers=[option("x-old", "2", append_action=Action.APPEND_IF_EXISTS_OR_ADD), option("x-new", "2", append_action=Action.APPEND_IF_EXISTS_OR_ADD)]),
    "absent-action": ok(headers=[option("x-old", "2", append_action=Action.ADD_IF_ABSENT), option("x-new", "2", append_action=Action.ADD_IF_ABSENT)]),
    "exists-action": ok(headers=[option("x-old", "2", append_action=Action.OVERWRITE_IF_EXISTS), option("x-new", "2", append_action=Action.OVERWRITE_IF_EXISTS)]),
    "twice": ok(headers=[option("x-new", "1"), option("x-new", "2")]),
    "path": ok(headers=[option(":path", "/elsewhere"), option(":authority", "other.test"), option(":method", "PUT")]),
    "host": ok(headers=[option("host", "other.test")]),
    "remove": ok(headers_to_remove=["x-old", "host", ":path", "X-Upper"]),
    "empty-value": ok(headers=[option("x-old", ""), option("x-new", "")]),
    "response": ok(response_headers_to_add=[
        option("x-answer", "1"), option("x-backend", "2"), option("x-three", "3", append_action=Action.ADD_IF_ABSENT),
        option("x-backend-b", "4", append_action=Action.OVERWRITE_IF_EXISTS), option("x-backend-c", "5", append_action=Action.OVERWRITE_IF_EXISTS_OR_ADD),
        option("x-backend-d", "6", append={"value": True}), option("x-backend-e", "7", append={"value": False})]),
    "query": ok(query_parameters_to_set=[core.QueryParameter(key="a", value="9"), core.QueryParameter(key="z", value="1")], query_parameters_to_remove=["b"]),
    "denied": denied(),
    "denied-status": denied(401, "go away", [option("x-why", "because"), option("www-authenticate", "Basic")]),
    "denied-append": denied(401, "", [option("set-cookie", "a=1", append={"value": True}), option("set-cookie", "b=2"), option("set-cookie", "c=3"), option("content-type", "text/html")]),
    "denied-odd-status": denied(200, "fine?"),
    "denied-bare": auth.CheckResponse(),
    "denied-with-ok": ok(headers=[option("x-new", "1")]),
    "ok-with-denied": denied(401, "no", code=0),
    "error-response": denied(418, "teapot", [option("x-why", "error")], code=13, kind="error_response"),
    "large": denied(403, "x" * 3000),
    "metadata": ok(dynamic_metadata=struct_pb2.Struct()),
    "bad-name": ok(headers=[option("x bad", "1"), option("x-new", "1")]),
    "bad-value": ok(headers=[option("x-bad", "a\nb"), option("x-new", "1")]),
}
ANSWERS["denied-bare"].status.code = 16
ANSWERS["denied-with-ok"].status.code = 7
ASKED = {}


def serve():
    def check(request, context):
        http = request.attributes.request.http
        name = http.path.split("?")[0].strip("/").split("/")[0]
        ASKED.setdefault(name, []).append(request)
        if name == "abort":
            context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        if name == "slow":
            import time
            time.sleep(1)
        return ANSWERS.get(name, auth.CheckResponse())
    handler = grpc.unary_unary_rpc_method_handler(
        check, request_deserializer=auth.CheckRequest.FromString, response_serializer=auth.CheckResponse.SerializeToString)
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("envoy.service.auth.v3.Authorization", {"Check": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


SEEN = []


def echo(handler):
    SEEN.append((handler.command + " " + handler.path, sorted((n.lower(), v) for n, v in handler.headers.items())))
    for n in "x-backend", "x-backend-b", "x-backend-c", "x-backend-d", "x-backend-e":
        pass
    return "upstream"


def config(port, authority, backend, admin, **more):
    settings = {"@type": FILTER + "ExtAuthz", "transport_api_version": "V3", "grpc_service": {"envoy_grpc": {"cluster_name": "authority"}, "timeout": "0.5s"}, **more}
    per_route = lambda v: {"typed_per_filter_config": {"envoy.filters.http.ext_authz": {"@type": FILTER + "ExtAuthzPerRoute", **v}}}
    table = {"name": "r", "virtual_hosts": [{
        "name": "all", "domains": ["*"], **per_route({"check_settings": {"context_extensions": {"host": "1", "both": "host"}}}), "routes": [
            {"match": {"prefix": "/elsewhere"}, "route": {"cluster": "backend", "prefix_rewrite": "/rerouted"}},
            {"match": {"prefix": "/off"}, "route": {"cluster": "backend"}, **per_route({"disabled": True})},
            {"match": {"prefix": "/extended"}, "route": {"cluster": "backend"}, **per_route({"check_settings": {"context_extensions": {"both": "route", "route": "2"}}})},
            {"match": {"prefix": "/no-body"}, "route": {"cluster": "backend"}, **per_route({"check_settings": {"disable_request_body_buffering": True}})},
            {"match": {"prefix": "/"}, "route": {"cluster": "backend"}, "response_headers_to_add": [
                {"header": {"key": n, "value": "route"}} for n in ("x-backend", "x-backend-b", "x-backend-c", "x-backend-d", "x-backend-e")]}]}]}
    filters = [{"name": "envoy.filters.http.ext_authz", "typed_config": settings}, lab.ROUTER]
    return lab.bootstrap([lab.listener(port, table, http_filters=filters)],
                         [lab.cluster("authority", authority, http2=True), lab.cluster("backend", backend)], admin)


def request(port, method, path, headers=(), body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", "a.test")
    for name, value in headers:
        connection.putheader(name, value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    response = connection.getresponse()
    out = response.status, response.read(), sorted((n.lower(), v) for n, v in response.getheaders())
    connection.close()
    return out


UNCOMPARED = {"date", "x-request-id", "x-envoy-upstream-service-time", "x-envoy-expected-rq-timeout-ms", "server"}


def checked(message):
    """A CheckRequest without what differs from run to run."""
    value = json_format.MessageToDict(message)["attributes"]
    for side in ("source", "destination"):
        value[side]["address"]["socketAddress"].pop("portValue")
    for key in ("id",):
        value["request"]["http"].pop(key, None)
    value["request"].pop("time")
    for empty in ("metadataContext", "routeMetadataContext"):
        value.pop(empty, None)
    http = value["request"]["http"]
    http.get("headers", {}).pop("x-request-id", None)
    if "headerMap" in http:
        http["headerMap"]["headers"] = [h for h in http["headerMap"]["headers"] if h["key"] != "x-request-id"]
    return value


def play(name, port, validates):
    """Everything that comes of each request, by its name. Fields that are none are compared where Envoy looks at them, too: we always do (docs/reference/differences.md)."""
    out = {}
    rows = [(n, "GET", f"/{n}?b=2&a=1", [("X-Old", "old"), ("x-upper", "u")], None) for n in ANSWERS if validates or n not in ("bad-name", "bad-value")]
    rows += [("off", "GET", "/off", [], None), ("extended", "GET", "/extended", [("x-two", "1"), ("x-two", "2"), ("cookie", "a=1"), ("cookie", "b=2")], None),
             ("abort", "GET", "/abort", [], None), ("slow", "GET", "/slow", [], None), ("body", "POST", "/body", [], b"hello"), ("no-body", "POST", "/no-body", [], b"hello"),
             ("full", "POST", "/full", [], b"x" * 1000), ("too-large", "POST", "/too-large", [], b"x" * 1001), ("bytes", "POST", "/bytes", [("x-odd", "\xff\xe9")], b"\xff\x00a"),
             ("partial-header", "GET", "/partial-header", [("x-envoy-auth-partial-body", "x")], None), ("head", "HEAD", "/denied-status", [], None),
             ("grpc", "POST", "/denied-status", [("content-type", "application/grpc")], b"")]
    for row, method, path, headers, body in rows:
        ASKED.clear(), SEEN.clear()
        status, content, fields = request(port, method, path, headers, body)
        out[row] = {"status": status, "body": content[:60].decode("latin-1") + f" {len(content)}", "fields": [f for f in fields if f[0] not in UNCOMPARED and (method, f[0]) != ("HEAD", "transfer-encoding")],
                    "upstream": [(line, [f for f in fields if f[0] not in UNCOMPARED]) for line, fields in SEEN],
                    "asked": [checked(m) for messages in ASKED.values() for m in messages]}
    return out


def stats(admin):
    text = lab.http_get(admin, "/stats")[1]
    return {line for line in text.splitlines() if "ext_authz." in line or "backend.upstream_rq_4" in line}


with lab.Lab() as world:
    server, authority = serve()
    backend = lab.upstream("upstream", echo)
    outcomes = {}
    variants = {"plain": {}, "body": {"with_request_body": {"max_request_bytes": 1000}, "clear_route_cache": True, "failure_mode_allow": True, "failure_mode_allow_header_add": True, "stat_prefix": "waf"},
                "partial": {"with_request_body": {"max_request_bytes": 4, "allow_partial_message": True, "pack_as_bytes": True}, "validate_mutations": True, "status_on_error": {"code": 503}, "allowed_headers": {"patterns": [{"prefix": "x-"}]}, "disallowed_headers": {"patterns": [{"exact": "x-old"}]}, "include_tls_session": True},
                "raw": {"encode_raw_headers": True, "max_denied_response_body_bytes": 100, "charge_cluster_response_stats": False},
                "never": {"filter_enabled": {"default_value": {"numerator": 0}}, "deny_at_disable": {"default_value": True, "runtime_key": "x"}, "status_on_error": {"code": 503}}}
    programs = {"envoy": [lab.ENVOY, "--disable-hot-restart", "--log-level", "error"]}
    if "--envoy" not in sys.argv:
        programs["weft"] = [lab.BIN / "weft-proxy"]
    for variant, settings in variants.items():
        results = {}
        for program, words in programs.items():
            port, admin = lab.free_ports(2)
            path = world.write(f"{program}-{variant}.yaml", config(port, authority, backend, admin, **settings))
            world.start(f"{program}-{variant}", *words, "-c", path, "--concurrency", "1", port=port)
            results[program] = play(program, port, settings.get("validate_mutations", False)), stats(admin)
        outcomes[variant] = results
    if "--show" in sys.argv:
        print(json.dumps({v: {p: [o[0], sorted(o[1])] for p, o in r.items()} for v, r in outcomes.items()}, indent=1))
        sys.exit()
    differences = []
    for variant, results in outcomes.items():
        (theirs, their_stats), (ours, our_stats) = results["envoy"], results["weft"]
        for row in theirs:
            for part in theirs[row]:
                if theirs[row][part] != ours[row][part]:
                    differences.append(f"{variant} {row} {part}\n   envoy {theirs[row][part]}\n   weft  {ours[row][part]}")
        for line in sorted(their_stats ^ our_stats):
            # Metadata that is not carried out is counted here, and carried out there.
            if not line.endswith(": 0") and "ignored_dynamic_metadata" not in line:
                differences.append(f"{variant} stats {'envoy' if line in their_stats else 'weft'} {line}")
    lab.expect(not differences, f"{len(differences)} differences\n" + "\n".join(differences))
    server.stop(0)
    print(f"{sum(len(r['envoy'][0]) for r in outcomes.values())} exchanges with five configurations, the same as Envoy's")
