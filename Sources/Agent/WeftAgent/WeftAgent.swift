// WeftAgent: what stands beside each workload and its proxy.
//
// Owns: the order of life of one workload (register → configure → start proxy → proxy ready → start application → application
// answers → take traffic; and backwards on the way out), the proxy's bootstrap file, child processes and signals, registration
// with the control plane, and its heartbeat.
// Never: carries a byte of the application's traffic, or decides anything the control plane decides.
// Neighbours: WeftService (HTTP to the control plane and to the proxy's admin page). `weft run` and `weft-agent` call `Agent.run`.
// Threads: Swift concurrency; one small thread a child waits for its exit, one waits for signals.
