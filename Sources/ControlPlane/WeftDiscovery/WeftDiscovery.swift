// WeftDiscovery: the xDS server: who is connected, what each proxy has, and what it is sent next.
//
// Owns: sessions as pure state machines (`Session`: request, new resources or a passing of time in; responses out) for
// state of the world and delta; the decision which proxies a change concerns; coalescing of changes; the status of
// every proxy and of every rule on it; the binding of all this to a gRPC server.
//
// Never: decides what a proxy gets (WeftTranslation), reads configuration (WeftConfig, WeftControl), blocks on a proxy:
// a proxy that does not answer gets later changes all the same.
//
// Neighbours: `SnapshotSource` of WeftControlAPI is where changes come from; WeftTranslation makes resources; WeftService
// carries the streams. WeftControl composes it and serves its status.
//
// Order on a stream: clusters, endpoints (always again after their clusters), listeners, routes. What goes is removed in
// reverse: a cluster that is no longer wanted stays until listeners and routes have been acknowledged, or five seconds.
//
// Threads: one task per stream owns its session. Streams learn of changes through `SessionInbox`, a lock held for a
// few instructions. Translation runs in the stream's task, so that many proxies are served on all cores.
