#!/usr/bin/env python3
"""Listeners and clusters that lie in files and in the bootstrap, and take tables and endpoints from an aggregated stream, both forms."""
import json

import lab

lab.need(lab.BIN / "weft-proxy")
lab.need_module("grpc")
lab.need_module("envoy")
from toy_ads import CDS, EDS, LDS, RDS, ToyADS

ADS = {"ads": {}, "resource_api_version": "V3"}


def cluster(name, service=None):
    return {"name": name, "type": "EDS", "connect_timeout": "1s",
            "eds_cluster_config": {"eds_config": ADS, **({"service_name": service} if service else {})}}


def endpoints(name, port):
    return {"@type": EDS, "cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": lab.socket_address(port)}}]}]}


def listener(name, port):
    manager = {"@type": lab.HCM, "stat_prefix": name, "rds": {"route_config_name": f"of-{name}", "config_source": ADS},
               "http_filters": [lab.ROUTER]}
    return {"name": name, "address": lab.socket_address(port),
            "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}]}


def table(name, to):
    return {"@type": RDS, "name": f"of-{name}", "virtual_hosts": [
        {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": to}}]}]}


def check(delta):
    ports = dict(zip(["fixed", "first", "second"], lab.free_ports(3)))
    servers = {name: lab.upstream(name) for name in ports}
    everything = [endpoints(name, servers[name]) for name in ports] + [table(name, name) for name in ports]
    # The table of the bootstrap's listener is there, the endpoints of its cluster are not.
    ads = ToyADS("1", everything[1:])
    xds = ads.start()

    def answers(name):
        lab.eventually(f"{name} answers", lambda: lab.listens(ports[name]) and lab.http_get(ports[name])[1] == name)

    def asked(kind):
        said = ads.said(lambda r: r.type_url == kind)
        if not delta:
            return set(said[-1].resource_names) if said else set()
        names = set()
        for r in said:
            names = (names | set(r.resource_names_subscribe)) - set(r.resource_names_unsubscribe)
        return names

    with lab.Lab() as world:
        def write(kind, resources):
            name = {LDS: "lds", CDS: "cds"}[kind]
            fresh = world.write(f"{name}.new", json.dumps({"resources": [{"@type": kind, **r} for r in resources]}))
            fresh.rename(world.directory / f"{name}.yaml")

        def source(name):
            return {"path_config_source": {"path": str(world.directory / name)}, "resource_api_version": "V3"}

        bootstrap = {
            "node": {"id": "files", "cluster": "files"},
            "dynamic_resources": {
                "ads_config": {"api_type": "DELTA_GRPC" if delta else "GRPC", "transport_api_version": "V3",
                               "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}]},
                "lds_config": source("lds.yaml"), "cds_config": source("cds.yaml")},
            "static_resources": {"clusters": [lab.cluster("xds", xds, http2=True), cluster("fixed")],
                                 "listeners": [listener("fixed", ports["fixed"])]}}
        write(CDS, [cluster("first")])
        write(LDS, [listener("first", ports["first"])])
        world.proxy(bootstrap, ports["first"])
        answers("first")
        assert asked(EDS) == {"fixed", "first"} and asked(RDS) == {"of-fixed", "of-first"}, (asked(EDS), asked(RDS))
        # Who would ask a cluster that has no endpoints yet is not let in to find none.
        assert not lab.listens(ports["fixed"]), "the bootstrap's listener is open before its cluster has endpoints"
        ads.set("2", everything)
        answers("fixed")

        write(CDS, [cluster("first"), cluster("second")])
        write(LDS, [listener("first", ports["first"]), listener("second", ports["second"])])
        answers("second")
        answers("first")
        # A cluster that changes goes on as it was until its new endpoints have come, be it from other endpoints or from fixed ones.
        load = lab.Load(ports["first"], clients=1, pause=0.001)
        for form in [cluster("first", "later"), lab.cluster("first", servers["first"]), cluster("first", "latest")]:
            service = form.get("eds_cluster_config", {}).get("service_name")
            write(CDS, [form, cluster("second")])
            if service:
                lab.eventually(f"{service} is asked for", lambda: service in asked(EDS))
                answers("first")
                ads.set(service, everything + [endpoints(service, servers["second"])])
                lab.eventually(f"{service} is taken", lambda: lab.http_get(ports["first"])[1] == "second")
            else:
                answers("first")
        load.stop()
        load.expect_no_loss(load.mark(), closed=0)
        write(LDS, [listener("second", ports["second"])])
        write(CDS, [cluster("second")])
        lab.eventually("what is gone is not asked for", lambda: asked(EDS) == {"fixed", "second"} and asked(RDS) == {"of-fixed", "of-second"})
        answers("second")

        # A new stream is asked for what the files want now.
        before = len(ads.requests)
        ads.stop()
        ads.start(xds)
        lab.eventually("a new stream", lambda: any(
            "second" in (list(r.resource_names_subscribe) if delta else list(r.resource_names)) for r in ads.said(lambda r: r.type_url == EDS)[-2:])
            and len(ads.requests) > before)
        answers("second")
        ads.stop()
        world.stop("proxy")
        # Without a stream such a file is not taken.
        del bootstrap["dynamic_resources"]["ads_config"]
        bootstrap["static_resources"] = {"clusters": [lab.cluster("xds", xds, http2=True)]}
        world.proxy(bootstrap, None, "alone")
        lab.eventually("the file is refused", lambda: "resources[0].eds_cluster_config.eds_config.ads: needs dynamic_resources.ads_config"
                       in world.log("alone"))
    print("ok   ", "delta" if delta else "state of the world")


for delta in [False, True]:
    check(delta)
