import Testing
import WeftBase
import WeftModel
import WeftProtobuf
import WeftXDSMessages

@testable import WeftXDS

@Suite("runtime layers")
struct RuntimeLayerTests {
  private static func convert(_ layers: String) throws -> (layers: [RuntimeLayer], warnings: [String]) {
    let json = try JSONValue(parsing: Array(#"{"layered_runtime": {"layers": \#(layers)}}"#.utf8))
    let converter = Converter()
    let bootstrap = try converter.bootstrap(try Envoy_Config_Bootstrap_V3_Bootstrap(json: json))
    return (bootstrap.runtime, converter.warnings.map { "\($0.path): \($0.message)" })
  }

  @Test("nested objects are groups of keys, unless they are a share; numbers of any size are taken")
  func flattening() throws {
    let (layers, warnings) = try Self.convert(
      #"""
      [{"name": "base", "static_layer": {"a": {"b": 5, "c": {"d": true}}, "e.f": "7", "text": "x", "big": 12345678901234567890,
        "huge": 1e300, "share": {"numerator": 5, "denominator": "TEN_THOUSAND"}, "half": 100.9}},
       {"name": "admin", "admin_layer": {}}]
      """#)
    guard layers.count == 2, case .fixed(let values) = layers[0].kind else { return #expect(Bool(false)) }
    #expect(layers[1] == RuntimeLayer(name: "admin", .admin) && warnings.isEmpty)
    #expect(Set(values.keys) == ["a.b", "a.c.d", "e.f", "text", "big", "huge", "share", "half"])
    #expect(values["a.b"]?.integer == 5 && values["a.b"]?.text == "5" && values["a.c.d"]?.flag == true)
    #expect(values["e.f"]?.integer == 7 && values["text"]?.number == nil && values["half"]?.integer == 100)
    #expect(values["big"]?.integer != nil && values["huge"]?.integer == nil && values["huge"]?.number == 1e300)
    #expect(values["share"]?.fraction == FractionalPercent(5, of: .tenThousand) && values["share"]?.number == nil)
  }

  @Test(
    "what cannot be a layer is refused with its place",
    arguments: [
      (#"[{"name": "a", "static_layer": {"x": [1]}}]"#, "layered_runtime.layers[0].static_layer.x: must be a number"),
      (#"[{"name": "a", "static_layer": {"x": {"y": null}}}]"#, "layered_runtime.layers[0].static_layer.x.y: must be"),
      (
        #"[{"name": "a", "static_layer": {}}, {"name": "a", "admin_layer": {}}]"#,
        "layered_runtime.layers[1].name: duplicate"
      ),
      (
        #"[{"name": "a", "admin_layer": {}}, {"name": "b", "admin_layer": {}}]"#,
        "layered_runtime.layers[1].admin_layer: is there twice"
      ),
      (#"[{"name": "a"}]"#, "layered_runtime.layers[0]: needs one of"),
      (#"[{"static_layer": {}}]"#, "layered_runtime.layers[0].name: is required"),
    ])
  func refusals(layers: String, message: String) {
    let error = #expect(throws: ConfigError.self) { try Self.convert(layers) }
    #expect(error.map { "\($0.path): \($0.message)".hasPrefix(message) } ?? false, "\(error.debugDescription)")
  }

  @Test(
    "what has no effect is told",
    arguments: [
      (
        #"[{"name": "a", "static_layer": {"x": {"numerator": -1}}}]"#,
        "layered_runtime.layers[0].static_layer.x: is no share"
      ),
      (
        #"[{"name": "a", "static_layer": {"x": {"numerator": 1, "denominator": "BAD"}}}]"#,
        "layered_runtime.layers[0].static_layer.x: is no share"
      ),
      (
        #"[{"name": "a", "disk_layer": {"symlink_root": "/x"}}]"#,
        "layered_runtime.layers[0].disk_layer: is not supported"
      ),
      (#"[{"name": "a", "rtds_layer": {"name": "x"}}]"#, "layered_runtime.layers[0].rtds_layer: is not supported"),
    ])
  func warnings(layers: String, message: String) throws {
    #expect(try Self.convert(layers).warnings.contains { $0.hasPrefix(message) })
  }
}
