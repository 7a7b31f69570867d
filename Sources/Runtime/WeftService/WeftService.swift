// WeftService: HTTP and gRPC, client and server, in async/await, for everything that is not the data path.
//
// Owns: the service runtime (one thread with one EventLoop), HTTPServer, HTTPClient, GRPCServer, GRPCClient, body
//   streams with back-pressure, the connection pool, deadlines, draining.
// Never: carries proxied traffic, links Foundation, starts a task nobody waits for, or waits on a peer without a limit.
// Neighbours: below it WeftRuntime (sockets, timers), WeftTLS, WeftHTTP (codecs), WeftGRPC (protocol rules) and
//   WeftProtobuf. Above it: the proxy's admin page and xDS client, the control plane, the agent, the command line.
// Threads: connection state lives on the loop's thread and is touched nowhere else. Handlers and callers run on Swift's
//   default executor, never on the loop, so a slow handler cannot stall the sockets. The two sides meet in
//   exactly three locked objects: `InboundStream` (loop → task), `OutboundStream` (task → loop) and the exchange's head
//   slot; tasks reach the loop by `ServiceRuntime.post`, the loop reaches tasks by resuming a continuation. A lock is held
//   for a few instructions and never while calling out.
// Deadlines and cancellation end an exchange on the loop, which fails its streams; whoever awaits them is resumed with the
//   error. So every await here ends when its exchange does.
