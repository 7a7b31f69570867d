// WeftCompile: configuration into tables. What requests never see.
//
// Owns      `ConfigState` (all configuration in force), `SnapshotCompiler` and its parts, TLS contexts by content.
// Never     runs on a worker, knows where configuration came from, keeps a request waiting.
// Neighbours below: WeftTables (what is made), WeftTLS. Above: WeftXDSClient and WeftProxyControl, which bring the configuration. The engine
//           does not know it.
// Threads   one at a time; a large compilation is the main loop's longest turn.
