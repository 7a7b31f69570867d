// WeftTranslation: (snapshot, proxy) → xDS resources. A pure function.
//
// Owns: what a proxy's node says about it (`ProxyIdentity`), which services and rules it sees (`ProxyScope`), and the
// clusters, endpoints, listeners and routes it is given (`Translator`), for sidecars with explicit listeners, sidecars
// with captured traffic, gateways, stock Envoy and gRPC clients. Names are Istio's. Every resource carries its origins
// and a content hash; the same input gives the same bytes.
//
// Never: opens a socket, reads a clock, keeps state between calls, or validates rules (WeftConfig did; what this
// slice cannot express yet is listed by `UnsupportedFeatures`).
//
// Neighbours: reads WeftControlAPI's snapshot and WeftKinds' messages, writes WeftXDS' messages. WeftDiscovery calls
// it once per proxy and change, and asks `Dependencies` which proxies a change concerns.
//
// Threads: values and functions only; called from many tasks at once.
