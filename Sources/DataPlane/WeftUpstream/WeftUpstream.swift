// WeftUpstream: the far side of a proxy: clusters, their endpoints, their names, and the connections to them.
//
// Owns      the state of hosts and upstream connections as slots (Endpoint/, Pool/), compiled clusters (Cluster/), and the rules that are
//           pure values: balancing, outlier detection, circuit breakers, retries, when names are looked up (Names/).
// Never     does I/O, reads a clock, knows a downstream connection. The engine in WeftProxy moves the slots; what happens is decided here.
// Neighbours below: WeftModel (configuration), WeftHTTP (codec state of a connection), WeftRuntime (addresses, connection ids).
// Threads   hosts, pools and clusters' states belong to one worker each; what workers share (breakers' counters, ejections) says so.
