import WeftBase
import WeftModel
import WeftProtobuf
import WeftXDSMessages

extension Converter {
  /// *Source*: Envoy's `LayeredRuntime`. Nested objects are groups of keys, joined by dots, unless they are a share.
  func runtimeLayers(_ layers: [Envoy_Config_Bootstrap_V3_RuntimeLayer]) throws(ConfigError) -> [RuntimeLayer] {
    var out: [RuntimeLayer] = []
    var names: [String: Int] = [:]
    for (i, layer) in layers.enumerated() {
      let at = FieldPath().field("layered_runtime").field("layers").index(i)
      let name = try required(layer.name, at.field("name"))
      if let first = names.updateValue(i, forKey: name) {
        throw fail(at.field("name"), "duplicate layer name \"\(name)\", first in layers[\(first)]")
      }
      switch layer.layerSpecifier {
      case .staticLayer(let values):
        var known: [String: RuntimeValue] = [:]
        let path = at.field("static_layer")
        let object: JSONValue
        do throws(ProtobufError) { object = try values.json() } catch { throw fail(path, error.message) }
        for member in object.objectValue?.members ?? [] { try flatten(member.value, member.name, path, &known) }
        out.append(RuntimeLayer(name: name, .fixed(known)))
      case .adminLayer:
        guard !out.contains(where: { $0.kind == .admin }) else {
          throw fail(at.field("admin_layer"), "is there twice: there may be one admin layer")
        }
        out.append(RuntimeLayer(name: name, .admin))
      case .diskLayer: warn(at.field("disk_layer"), "is not supported and has no effect")
      case .rtdsLayer: warn(at.field("rtds_layer"), "is not supported and has no effect")
      case nil: throw fail(at, "needs one of static_layer, disk_layer, admin_layer, rtds_layer")
      }
    }
    return out
  }

  private func flatten(
    _ value: JSONValue, _ key: String, _ at: FieldPath, _ out: inout [String: RuntimeValue]
  ) throws(ConfigError) {
    if case .object(let object) = value, !RuntimeValue.isShare(object) {
      for member in object.members { try flatten(member.value, "\(key).\(member.name)", at, &out) }
      return
    }
    guard let converted = RuntimeValue(value) else {
      throw fail(
        at.field(key), "must be a number, a boolean, a text, a share (numerator, denominator) or a group of such keys")
    }
    if case .object = value, converted.fraction == nil {
      warn(at.field(key), "is no share (numerator; denominator HUNDRED, TEN_THOUSAND or MILLION) and has no effect")
    }
    out[key] = converted
  }
}
