// WeftYAML: YAML 1.2 text as JSON values with positions, and back.
//
// Owns: reading (YAMLReader.swift, over libyaml's event parser), what a plain scalar means (PlainScalar.swift), where in
// the text a value stands (YAMLDocument.swift), writing (YAMLWriter.swift).
//
// The core schema of YAML 1.2 decides: `true` and `null` in three spellings each, decimal, 0o and 0x integers, floats;
// `yes`, `no`, `on`, `off`, `012`-as-octal and sexagesimals of YAML 1.1 are not special. Numbers keep their text, as far
// as JSON can spell it. Refused: duplicate keys, keys that are not scalars, merge keys (`<<`), tags outside the core
// schema, aliases without or inside their own anchor. Bounded: bytes, depth, documents, and nodes after aliases are expanded.
//
// Never: reads files, keeps state between calls, traps on outside text.
// Neighbours: WeftBase (JSONValue, FieldPath), the system's libyaml.
// Threads: pure functions on Sendable values.
