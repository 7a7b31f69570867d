#!/usr/bin/env python3
"""Two programs never share an address: the second one says who it is that cannot bind what, and ends with exit code 1. A real Envoy beside ours is somebody, too."""
import pathlib
import socket
import subprocess
import tempfile
import urllib.request
import lab


def bootstrap(listener, admin):
    return f"""
admin: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {admin} }} }} }}
static_resources:
  listeners:
  - name: in
    address: {{ socket_address: {{ address: 127.0.0.1, port_value: {listener} }} }}
    filter_chains:
    - filters:
      - name: tcp
        typed_config: {{ "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t, cluster: none }}
  clusters:
  - name: none
    connect_timeout: 1s
"""


def discovered(port):
    return f"""
resources:
- "@type": type.googleapis.com/envoy.config.listener.v3.Listener
  name: later
  address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
  filter_chains:
  - filters:
    - name: tcp
      typed_config: {{ "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t, cluster: none }}
"""


def failures(admin):
    text = urllib.request.urlopen(f"http://127.0.0.1:{admin}/stats?filter=listener_create_failure", timeout=5).read().decode()
    return sum(int(line.split(": ")[1]) for line in text.splitlines() if "listener_create_failure" in line)


def wait(port):
    lab.eventually(f"somebody at port {port}", lambda: lab.listens(port))


def refused(words, taken, cwd):
    done = subprocess.run([str(w) for w in words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, cwd=cwd)
    text = done.stdout + done.stderr
    assert done.returncode == 1, f"exit code {done.returncode} of {words}: {text[-600:]}"
    want = f"cannot bind 127.0.0.1:{taken}: address already in use"
    assert want in text, f"{want!r} is not in {text[-600:]!r}"


with tempfile.TemporaryDirectory() as directory:
    directory = pathlib.Path(directory)
    running = []
    try:
        listener, admin = lab.free_port(), lab.free_port()

        def proxy(name, listener, admin):
            path = directory / f"{name}.yaml"
            path.write_text(bootstrap(listener, admin))
            return [lab.BIN / "weft-proxy", "-c", path, "--concurrency", "2"]

        running.append(subprocess.Popen([str(w) for w in proxy("one", listener, admin)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        wait(listener)
        wait(admin)
        refused(proxy("admin", lab.free_port(), admin), admin, directory)
        refused(proxy("listener", listener, lab.free_port()), listener, directory)

        # A listener that is discovered is had as soon as its address is free, without another word from where it comes.
        taken, page = lab.free_port(), lab.free_port()
        holder = socket.create_server(("127.0.0.1", taken))
        (directory / "lds.yaml").write_text(discovered(taken))
        path = directory / "discovered.yaml"
        path.write_text(f"""
admin: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {page} }} }} }}
node: {{ id: n, cluster: c }}
dynamic_resources: {{ lds_config: {{ path_config_source: {{ path: {directory / 'lds.yaml'} }} }} }}
static_resources: {{ clusters: [{{ name: none, connect_timeout: 1s }}] }}
""")
        running.append(subprocess.Popen([str(lab.BIN / "weft-proxy"), "-c", str(path), "--concurrency", "2"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        wait(page)
        lab.eventually("a listener that cannot be", lambda: failures(page) > 0)
        holder.close()
        wait(taken)

        if lab.ENVOY.exists():
            other, envoy_admin = lab.free_port(), lab.free_port()
            path = directory / "envoy.yaml"
            path.write_text(bootstrap(other, envoy_admin))
            running.append(subprocess.Popen([str(lab.ENVOY), "-c", str(path), "--disable-hot-restart", "--concurrency", "2", "-l", "error"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            wait(other)
            refused(proxy("beside", other, lab.free_port()), other, directory)

        api, xds = lab.free_port(), lab.free_port()

        def control(name, api, xds):
            return [lab.BIN / "weft-control", "--api-address", f"127.0.0.1:{api}", "--xds-address", f"127.0.0.1:{xds}", "--data-dir", directory / name]

        running.append(subprocess.Popen([str(w) for w in control("first", api, xds)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        wait(api)
        wait(xds)
        refused(control("second", api, lab.free_port()), api, directory)
        refused(control("third", lab.free_port(), xds), xds, directory)
    finally:
        for program in running:
            program.terminate()
        for program in running:
            program.wait(timeout=20)
print("refused: admin page, listener, listener beside Envoy, API, xDS; a discovered listener comes when its address is free")
