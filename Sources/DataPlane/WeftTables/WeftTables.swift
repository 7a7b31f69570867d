// WeftTables: what a request reads of the configuration. Compiled, immutable, shared by all workers.
//
// Owns      `Snapshot` and all that hangs on it: listeners and filter chains, connection managers, hosts and routes, redirects and rewrites,
//           clusters by position, access logs. How a table is asked stands beside it.
// Never     reads configuration messages, opens a file, keeps state. WeftCompile makes the tables, and only it.
// Neighbours below: WeftUpstream (compiled clusters), WeftProxyAPI (compiled forms of extensions). Above: WeftCompile, WeftProxy.
// Threads   any: nothing changes after it was made.
