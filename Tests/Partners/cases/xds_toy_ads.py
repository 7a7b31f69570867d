#!/usr/bin/env python3
"""weft-proxy as an xDS client of a toy ADS server, both forms: order, node, ACK, NACK beside good resources, change under load, outage,
reconnect, and a start from the last good configuration."""
import lab

lab.need(lab.BIN / "weft-proxy")
lab.need_module("grpc")
lab.need_module("envoy")
from toy_ads import CDS, EDS, LDS, RDS, TYPE, ToyADS

NODE = "sidecar~10.0.0.1~pod.ns~ns.svc.cluster.local"
ADS = {"ads": {}, "resource_api_version": "V3"}


def cluster(name):
    return {"@type": CDS, "name": name, "type": "EDS", "connect_timeout": "1s", "eds_cluster_config": {"eds_config": ADS}}


def endpoints(name, port):
    return {"@type": EDS, "cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": lab.socket_address(port)}}]}]}


def listener(name, port, routes="r1", filter_name="envoy.filters.network.http_connection_manager", config=None):
    config = config or {
        "@type": lab.HCM, "stat_prefix": name, "rds": {"route_config_name": routes, "config_source": ADS},
        "http_filters": [lab.ROUTER]}
    return {"@type": LDS, "name": name, "address": lab.socket_address(port),
            "filter_chains": [{"filters": [{"name": filter_name, "typed_config": config}]}]}


def routes(to):
    return {"@type": RDS, "name": "r1", "virtual_hosts": [
        {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": to}}]}]}


def bootstrap(port, delta):
    return {
        "node": {"id": NODE, "cluster": "demo", "metadata": {"ROLE": "test"}},
        "dynamic_resources": {
            "ads_config": {"api_type": "DELTA_GRPC" if delta else "GRPC", "transport_api_version": "V3",
                           "set_node_on_first_message_only": True,
                           "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}]},
            "lds_config": ADS, "cds_config": ADS},
        "static_resources": {"clusters": [lab.cluster("xds", port, http2=True)]}}


def check(delta):
    first, second = lab.upstream("first"), lab.upstream("second")
    port, other = lab.free_ports(2)
    base = [cluster("c1"), endpoints("c1", first), listener("l1", port), routes("c1")]
    both = [cluster("c1"), endpoints("c1", first), cluster("c2"), endpoints("c2", second), listener("l1", port), routes("c2")]
    ads = ToyADS("1", base)
    xds = ads.start()

    def answers(text, at=None):
        lab.eventually(f"{text} answers", lambda: lab.listens(at or port) and lab.http_get(at or port)[1] == text)

    def error_of(request):
        return request.error_detail.message

    with lab.Lab() as world:
        last_good = world.directory / "last-good"
        world.proxy(bootstrap(xds, delta), port, "proxy", "--last-good", last_good)
        answers("first")
        said = ads.said(lambda r: True)
        assert said[0].type_url == CDS and said[0].node.id == NODE, said[0]
        assert not any(r.node.id for r in said[1:]), "the node stands in later messages"
        asked = {EDS: "c1", RDS: "r1"}
        for type_url, name in asked.items():
            ask = next(r for r in said if r.type_url == type_url)
            assert list(ask.resource_names_subscribe if delta else ask.resource_names) == [name], ask
        lab.eventually("four acknowledgements", lambda: len({
            r.type_url for r in ads.said(lambda r: r.response_nonce and not error_of(r))}) == 4)

        load = lab.Load(port, clients=1, pause=0.001)
        ads.set("2", both)
        answers("second")
        # A listener nobody can build, beside one everybody can.
        empty = {"@type": "type.googleapis.com/google.protobuf.Empty"}
        ads.set("3", both + [listener("bad", lab.free_port(), filter_name="nope", config=empty), listener("good", other)])
        answers("second", other)
        refused = lab.eventually("the bad listener is refused", lambda: ads.said(error_of))
        assert all(r.type_url == LDS and "bad" in error_of(r) and "good" not in error_of(r) for r in refused), refused
        if not delta:
            assert refused[0].version_info == "2" or refused[0].version_info == "1", refused[0].version_info
        ads.set("4", both)
        lab.eventually("the listener taken back is closed", lambda: not lab.listens(other))
        answers("second")

        ads.stop()
        answers("second")
        before = len(ads.requests)
        ads.set("5", both[:-1] + [routes("c1")])
        ads.start(xds)
        answers("first")
        load.stop()
        load.expect_no_loss(load.mark(), closed=0)
        again = ads.said(lambda r: True)[before:]
        assert again[0].node.id == NODE and not again[0].response_nonce, again[0]
        known = {r.type_url: r for r in reversed(again) if not r.response_nonce}
        if delta:
            assert set(known[CDS].initial_resource_versions) == {"c1", "c2"}, known[CDS]
        else:
            assert known[CDS].version_info, known[CDS]

        # The control plane is gone; a new proxy starts from what the old one kept.
        lab.eventually("the last good configuration is kept", last_good.exists)
        ads.stop()
        world.stop("proxy")
        lab.eventually("the port is free", lambda: not lab.listens(port))
        world.proxy(bootstrap(xds, delta), port, "proxy", "--last-good", last_good)
        answers("first")
        # … and takes up with the control plane when that comes back.
        ads.set("6", both)
        ads.start(xds)
        answers("second")
        ads.stop()
    print("ok   ", "delta" if delta else "state of the world", f"({load.requests} requests under change)")


for form in (False, True):
    check(form)
print("both forms")
