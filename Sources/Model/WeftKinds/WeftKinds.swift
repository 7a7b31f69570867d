// WeftKinds: the user-facing configuration kinds (the Istio API), their messages, defaults, validation and docs.
//
// Owns: the kind names, the registry of kinds (Kinds/Registry.swift, sorted and unique), one folder per kind with its
// schema, defaults, validation and documentation, and the generated messages (Generated/).
//
// Never: reads files, stores, or knows xDS. The proxy must not link it.
//
// Neighbours: WeftBase and WeftProtobuf below; WeftControlAPI, WeftConfig and WeftTranslation above.
//
// Threads: pure functions over `Sendable` values.
