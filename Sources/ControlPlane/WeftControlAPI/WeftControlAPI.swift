// WeftControlAPI: the seam of the control plane.
//
// Owns: the neutral model that every source of configuration is compiled into (`WeftSnapshot`: services, instances,
// workloads, and the configuration kinds with their origins), the names things go by (`ObjectKey`, `Origin`,
// `Hostname`), the difference between two snapshots (`SnapshotChanges`), the protocols that sources and
// registries implement (`ConfigSource`, `ServiceRegistry`) with what all registries share (`ChangeFeed`,
// `LastGoodFile`), and the clocks.
//
// Never: parses text, validates, talks to a network, or knows xDS; the only disk it knows is a registry's last-good
// file, for which nobody waits. Values here are complete and valid: the
// room that made them (WeftConfig, WeftControl) checked them.
//
// Neighbours: WeftKinds below (the typed specs); WeftConfig and WeftControl write snapshots; WeftTranslation reads one
// and a proxy's identity and answers resources; WeftDiscovery asks `SnapshotChanges` whom a change concerns.
//
// Threads: everything is immutable and `Sendable`; a snapshot is shared by reference between all sessions.
