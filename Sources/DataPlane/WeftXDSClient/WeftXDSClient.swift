// WeftXDSClient: discovery, the proxy's side of it: one aggregated stream, both forms of the protocol.
//
// Owns      the state of a session (`XDSSession`, pure), what has been accepted (`XDSStore`), the driver that keeps a stream open, the last good
//           configuration on disk.
// Never     compiles what it is told (it is given a check), touches a worker.
// Neighbours below: WeftXDS (messages into the model), WeftService (gRPC), WeftCompile (`ConfigState`). Above: WeftProxyControl.
// Threads   an actor on the cold loop.
