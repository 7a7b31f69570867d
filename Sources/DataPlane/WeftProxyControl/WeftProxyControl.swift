// WeftProxyControl: what a proxy does besides serving. Start-up, the main loop, discovery and admin put together.
//
// Owns      `ProxyControl` (the main loop's handler), `ProxyServices` (the cold loop's), bootstrap, watched files, admin pages, the watchdog, the
//           command line's arguments.
// Never     reads a client's socket; a request waits for nothing here. Workers are reached by `ProxyServer` and their mailboxes only.
// Neighbours below: WeftProxy (the engine), WeftCompile, WeftXDSClient. Above: weft-proxy.
// Threads   the program's main loop, one cold loop, the watchdog's thread.
//
// Read docs/flows/control-loop.md first.
