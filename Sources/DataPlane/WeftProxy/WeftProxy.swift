// WeftProxy: the data plane's engine. Bytes in from clients, requests out to endpoints, and everything that decides between.
//
// Owns      WorkerEngine (the handler of one event loop), downstream connections and streams, the router, the TCP proxy, drains; the
//           compiled configuration (`Snapshot`) and its compiler; bootstrap, admin interface.
// Never     parses HTTP itself (WeftHTTP), makes a system call (WeftRuntime), shares mutable state between workers, closes a connection
//           because configuration changed.
// Neighbours below: WeftUpstream (hosts, balancing, pools, breakers), WeftTLS, WeftHTTP, WeftRuntime, WeftTelemetry. Above: weft-proxy.
// Threads   one WorkerEngine per worker thread; `Proxy` hands snapshots to all of them through their mailboxes. Admin and discovery run
//           on the cold path's own loop.
//
// Read docs/flows/request.md first, then Worker/Stream.swift, HTTPConnection/, Router/.
