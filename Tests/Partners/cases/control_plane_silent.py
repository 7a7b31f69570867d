#!/usr/bin/env python3
"""A control plane that is slow, that stands still (SIGSTOP), and whose host vanishes without a FIN: traffic goes on without a loss, the proxy
notices by keep-alive, connects again, and takes what has changed."""
import signal, time
import lab

KEEPALIVE = 1  # seconds between pings, and to wait for one; agents write 30 and 10

with lab.Lab() as world:
    world.control()
    wire = lab.Wire(world.xds)
    world.apply(lab.service("reviews", {v: lab.upstream(v) for v in ("v1", "v2")}))
    world.apply(lab.route("reviews", v1=100))
    front = lab.free_port()
    admin = world.mesh_proxy("weft-proxy", "proxy", {"WEFT_UPSTREAMS": [
        {"host": "reviews", "port": 9080, "listen": f"127.0.0.1:{front}"}]}, keepalive=KEEPALIVE, xds=wire.port)
    lab.eventually("traffic flows", lambda: lab.http_get(front)[:2] == (200, "v1"))
    load = lab.Load(front, clients=4, pause=0.005)
    load.until(100)
    control = world.processes["control"]

    def arrives(subset, seconds=20):
        lab.eventually(f"the rule for {subset} arrives", lambda: set(load.until(30)["kinds"]) == {subset}, seconds)

    # Slow, but within the keep-alive's patience: every change arrives, on the same connection.
    wire.delay = KEEPALIVE / 4
    for subset in ("v2", "v1"):
        world.apply(lab.route("reviews", **{subset: 100}))
        arrives(subset)
    wire.delay = 0.0
    assert wire.accepted == 1, f"{wire.accepted} connections to a control plane that was only slow"

    # Standing still for several times the keep-alive's patience: the kernel still takes connections, nobody answers on them.
    mark = load.mark()
    control.send_signal(signal.SIGSTOP)
    time.sleep(6 * KEEPALIVE)
    still = load.since(mark)
    load.expect_no_loss(still, closed=0)
    assert still["requests"] > 100 and lab.http_get(admin, "/ready")[0] == 200, "a proxy that knows its configuration stays ready"
    assert wire.accepted > 1, "the proxy waits for ever for a control plane that stands still"
    control.send_signal(signal.SIGCONT)
    world.apply(lab.route("reviews", v2=100))
    arrives("v2")

    # Half open: the connection's other end is gone and nothing says so. Only a new connection brings the change.
    lab.eventually("the proxy is in sync", lambda: world.settled(1))
    before = wire.accepted
    wire.vanish()
    world.apply(lab.route("reviews", v1=100))
    arrives("v1")
    assert wire.accepted > before, "the change came over a connection that leads nowhere"
    lab.eventually("the control plane knows one proxy, in sync", lambda: world.settled(1), 60)
    load.stop()
    load.expect_no_loss(load.mark(), closed=0)
    print(f"slow, standing still, half open: {load.requests} requests, 0 failed, 0 connections closed, every change arrived")
