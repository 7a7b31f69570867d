// Any bytes as YAML: refused, or documents that the writer and the JSON writer keep.
internal import WeftBase
internal import WeftYAML

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
  let limits = YAMLLimits(nodes: 10_000)
  guard let documents = try? YAML.documents(bytes, limits: limits) else { return 0 }
  for document in documents {
    let value = document.value
    guard (try? JSONValue(parsing: value.bytes())) == value else { fatalError("the value is not JSON") }
    let text = YAML.text(value)
    guard let again = try? YAML.document(text, limits: YAMLLimits(depth: 101)) else {
      fatalError("own text is refused:\n\(text)")
    }
    guard again.value == value else { fatalError("own text means something else:\n\(text)") }
    _ = document.position(of: FieldPath([.field("a"), .index(0), .key("b")]))
  }
  return 0
}
