// WeftControl: the control plane put together.
//
// Owns: the aggregate that turns the store's objects and registrations into the newest `WeftSnapshot` (Aggregate/), the
// registry that agents report to, with leases (Registry/), what is odd about rules (Analysis/), the HTTP API on 15080 (API/), and the server that wires them to
// discovery and stops them in order (Server/).
//
// Never: decides what is valid (WeftConfig, WeftKinds), what a proxy receives (WeftTranslation), or when (WeftDiscovery).
//
// Neighbours: WeftConfig, WeftDiscovery and WeftService below; the program weft-control above.
//
// Threads: structured concurrency. The model belongs to the actor `Aggregate`; the store has its own queue; leases are
// under one lock. Time comes in as `ControlClock`.
