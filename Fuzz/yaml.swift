// Any bytes as YAML: refused, or documents that the writer and the JSON writer keep.
internal import WeftBase
internal import WeftYAML

/// One input; traps when a promise is broken.
func checkYAML(_ bytes: [UInt8]) {
  let limits = YAMLLimits(nodes: 10_000)
  guard let documents = try? YAML.documents(bytes, limits: limits) else { return }
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
}

#if WEFT_FUZZ
  @_cdecl("LLVMFuzzerTestOneInput")
  public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    checkYAML(Array(UnsafeBufferPointer(start: data, count: size)))
    return 0
  }
#endif
