// WeftConfig: from what people write to what the mesh may rely on.
//
// Owns: parsing YAML and JSON documents into envelopes with their place in the file (Parse/), decoding and validating
// them by kind (Validate/), deciding whether a set of changes may be stored (Admit/), the embedded store with its
// revisions, event log and roll-back data (Store/, History/), what differs between two versions of an object (Diff/),
// and the source that mirrors a directory of YAML into the store (Directory/).
//
// Never: translates, talks to proxies, or serves HTTP. A write that was acknowledged is on disk; a refused one leaves
// no trace.
//
// Neighbours: WeftKinds (what is valid), WeftYAML and WeftProtobuf (syntax), WeftControlAPI (envelopes, names) below;
// WeftControl above. RE2 and SQLite are reached only here.
//
// Threads: parsing, validation and diff are pure. `ConfigStore` belongs to one thread at a time; `StoreService` gives
// it a serial queue of its own, on which waiting writes share one commit.
