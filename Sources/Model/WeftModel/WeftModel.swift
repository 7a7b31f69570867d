// WeftModel: the data plane's nouns as pure values: listeners, filter chains, routes, clusters, endpoints, TLS
// contexts,
// access logs and the policies on them.
//
// Owns: what a proxy is told to do, in words of its own, free of any wire format. Every value is `Sendable` and
// `Hashable`, so that
// "did this resource change?" is a comparison and two workers may read the same value.
// Never: parses, validates against other resources, does I/O, or knows protobuf. WeftXDS/Convert makes these values out
// of Envoy's
// messages; WeftProxy/Compile turns them into tables that the workers read.
// Defaults: an unset setting has the default which Envoy documents for it. Where Weft chooses a safer one (HTTP/1.0
// accepted, header
// case kept, no total time-out on streams, one host of a small cluster may be ejected) the property's comment says so.
// Units: times are `Duration`, sizes are bytes and end in `Bytes`.
// Threads: none; values only.
