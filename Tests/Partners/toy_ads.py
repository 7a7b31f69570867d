"""A small aggregated discovery server for cases: both forms, whole or by name, what was said kept for looking at.

    ads = ToyADS("1", [resource, …]); ads.start(port); ads.set("2", […]); ads.requests; ads.stop()

A resource is Envoy's JSON with `@type`. State of the world: clusters and listeners whole, the rest by name. Delta: by content hash,
`initial_resource_versions` honoured, removals named.
"""
import concurrent.futures, hashlib, importlib, pkgutil, queue, threading

import envoy, grpc
from google.protobuf import any_pb2, json_format, message_factory, symbol_database

for _module in pkgutil.walk_packages(envoy.__path__, "envoy."):
    # Every message a resource may hold must be known before its JSON can be read.
    if _module.name.endswith("_pb2") and (".v3" in _module.name or ".type" in _module.name):
        importlib.import_module(_module.name)
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2

TYPE = "type.googleapis.com/envoy."
CDS = TYPE + "config.cluster.v3.Cluster"
EDS = TYPE + "config.endpoint.v3.ClusterLoadAssignment"
LDS = TYPE + "config.listener.v3.Listener"
RDS = TYPE + "config.route.v3.RouteConfiguration"
SDS = TYPE + "extensions.transport_sockets.tls.v3.Secret"
ORDER = [CDS, EDS, LDS, RDS, SDS]
WHOLE = {CDS, LDS}


def _pack(resource):
    packed = json_format.ParseDict(resource, any_pb2.Any())
    kind = symbol_database.Default().pool.FindMessageTypeByName(packed.type_url.rsplit("/", 1)[-1])
    message = message_factory.GetMessageClass(kind)()
    packed.Unpack(message)
    return packed, getattr(message, "cluster_name", "") or message.name


class ToyADS(ads_pb2_grpc.AggregatedDiscoveryServiceServicer):
    def __init__(self, version, resources):
        self.requests, self.streams, self.changed = [], 0, threading.Condition()
        self.listeners, self.resources, self.server = [], {}, None
        self.set(version, resources)

    def set(self, version, resources):
        table = {}
        for resource in resources:
            packed, name = _pack(resource)
            table.setdefault(packed.type_url, {})[name] = packed
        with self.changed:
            self.version, self.resources = version, table
            for listener in self.listeners:
                listener.put("push")

    def start(self, port=0):
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(16))
        ads_pb2_grpc.add_AggregatedDiscoveryServiceServicer_to_server(self, self.server)
        self.port = self.server.add_insecure_port(f"127.0.0.1:{port}")
        self.server.start()
        return self.port

    def stop(self):
        self.server.stop(0).wait()

    def said(self, predicate):
        with self.changed:
            return [r for r in self.requests if predicate(r)]

    # One stream: a reader thread and pushes meet in a queue.

    def _events(self, incoming, context):
        events = queue.Queue()
        with self.changed:
            self.streams += 1
            stream = self.streams
            self.listeners.append(events)

        def read():
            try:
                for request in incoming:
                    with self.changed:
                        self.requests.append(request)
                    events.put(request)
            except Exception:
                pass
            events.put(None)

        threading.Thread(target=read, daemon=True).start()
        context.add_callback(lambda: events.put(None))
        while (event := events.get()) is not None:
            yield stream, event
        with self.changed:
            self.listeners.remove(events)

    def StreamAggregatedResources(self, incoming, context):
        wanted, sent, count = {}, {}, 0
        for stream, event in self._events(incoming, context):
            if event == "push":
                types = [t for t in ORDER if t in wanted]
            else:
                names = set(event.resource_names)
                asks = not event.response_nonce or wanted.get(event.type_url) != names
                wanted[event.type_url] = names
                types = [event.type_url] if asks else []
                if asks:
                    sent.pop(event.type_url, None)
            for type_url in types:
                with self.changed:
                    version, there = self.version, dict(self.resources.get(type_url, {}))
                if type_url not in WHOLE:
                    there = {n: r for n, r in there.items() if n in wanted[type_url]}
                content = sorted((n, r.value) for n, r in there.items())
                if sent.get(type_url) == content or (not there and type_url not in WHOLE):
                    continue
                sent[type_url], count = content, count + 1
                yield discovery_pb2.DiscoveryResponse(
                    type_url=type_url, version_info=version, nonce=f"s{stream}-{count}", resources=list(there.values()))

    def DeltaAggregatedResources(self, incoming, context):
        wanted, held, count = {}, {}, 0
        for stream, event in self._events(incoming, context):
            if event == "push":
                types = [t for t in ORDER if t in wanted]
            else:
                first = event.type_url not in wanted
                names, known = wanted.setdefault(event.type_url, set()), held.setdefault(event.type_url, {})
                known.update(event.initial_resource_versions)
                names.update(event.resource_names_subscribe)
                if first and not names and event.type_url in WHOLE:
                    names.add("*")
                names.difference_update(event.resource_names_unsubscribe)
                for name in event.resource_names_unsubscribe:
                    known.pop(name, None)
                types = [event.type_url] if first or event.resource_names_subscribe else []
            for type_url in types:
                with self.changed:
                    version, there = self.version, dict(self.resources.get(type_url, {}))
                names, known = wanted[type_url], held[type_url]
                if "*" not in names:
                    there = {n: r for n, r in there.items() if n in names}
                hashes = {n: hashlib.sha1(r.value).hexdigest()[:8] for n, r in there.items()}
                fresh = [n for n in sorted(there) if known.get(n) != hashes[n]]
                gone = sorted(n for n in known if n not in there and ("*" in names or n in names))
                if event == "push" and not fresh and not gone:
                    continue
                for name in gone:
                    known.pop(name)
                known.update({n: hashes[n] for n in fresh})
                count += 1
                yield discovery_pb2.DeltaDiscoveryResponse(
                    type_url=type_url, system_version_info=version, nonce=f"d{stream}-{count}", removed_resources=gone,
                    resources=[discovery_pb2.Resource(name=n, version=hashes[n], resource=there[n]) for n in fresh])
