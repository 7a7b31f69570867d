// WeftProxy: the data plane's engine. Bytes in from clients, requests out to endpoints, and everything that decides between.
//
// Owns      WorkerEngine (the handler of one event loop), downstream connections and streams, the router, the TCP proxy, drains.
// Never     parses HTTP itself (WeftHTTP), makes a system call (WeftRuntime), shares mutable state between workers, closes a connection
//           because configuration changed; compiles.
// Neighbours below: WeftTables (what requests read), WeftUpstream (hosts, balancing, pools, breakers), WeftTLS, WeftHTTP, WeftRuntime,
//           WeftTelemetry. Above: WeftProxyControl.
// Threads   one WorkerEngine per worker thread; `ProxyServer` hands snapshots to all of them through their mailboxes.
//
// Read docs/flows/request.md first, then Worker/Stream.swift, HTTPConnection/, Router/.
