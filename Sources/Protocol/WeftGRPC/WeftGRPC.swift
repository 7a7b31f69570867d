// WeftGRPC: the gRPC protocol without I/O: what its bytes, headers and trailers mean.
//
// Owns: the five-byte message framing and its limits, status codes with their message and details encodings, the
//   mapping of HTTP outcomes to statuses, metadata rules, the grpc-timeout header, message compression (identity and
//   gzip, with a cap on what may be inflated), the messages of grpc.health.v1, and the description of a method.
// Never: opens a socket, starts a task, reads a clock, or knows HTTP/2 frames. It is told headers and bytes and answers
//   with values.
// Neighbours: WeftService drives it over our HTTP/2 (client and server); the proxy's health checks and retry policies
//   use its status rules. Below it: WeftBase, zlib.
// Threads: plain values; each is used by one thread at a time.
// Source: gRPC over HTTP/2 (PROTOCOL-HTTP2.md), statuscodes.md, compression.md, http-grpc-status-mapping.md and
//   health-checking.md of the gRPC project; the C-core implementation decides where the text is silent.
