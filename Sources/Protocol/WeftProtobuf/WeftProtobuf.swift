// WeftProtobuf: protocol buffers as Swift values, binary and canonical JSON.
//
// Owns: the `Message` protocol that generated code conforms to, the wire format (Wire/), the JSON mapping (JSON/),
// names of fields and types (Schema/), and the well-known types with google.rpc.Status (WellKnown/).
//
// How it works: a generated message is a plain struct with stored properties and two short functions. `decodeField`
// says which property a field number fills; `traverse` shows all set fields in number order. Binary and JSON, decoding
// and encoding, are subclasses of `FieldDecoder` and `FieldVisitor`; generated code does not know which one it talks to.
// A field's type is a `FieldKind`: a caseless enum that knows one encoding. Message fields are boxed (`Boxed`), so
// recursive types work and a struct stays as small as its own fields. Equality and hashing go over the deterministic
// binary form and cost no generated code.
//
// Never: does I/O, keeps globals besides immutable schemas, traps on outside bytes, uses Foundation.
// Neighbours: WeftBase (JSONValue, FieldPath) below; generated code in WeftXDS, WeftKinds and the tools above.
// Threads: everything is a Sendable value; decoders and encoders live for one call.
