// Metadata of routes and clusters, as formats ask for it.

import WeftBase
import WeftProtobuf
import WeftXDSMessages

extension Converter {
  /// Every value in `metadata` by its path, `namespace:key:key`: text as it stands, everything else as JSON.
  func flattened(_ metadata: Envoy_Config_Core_V3_Metadata?) -> [String: String] {
    var out: [String: String] = [:]
    for (namespace, fields) in metadata?.filterMetadata ?? [:] {
      // A number that JSON has no form for is in no document this came from.
      if let value = try? fields.json() { flatten(value, namespace, &out) }
    }
    return out
  }

  private func flatten(_ value: JSONValue, _ path: String, _ out: inout [String: String]) {
    out[path] = value.stringValue ?? value.text(.canonical)
    for member in value.objectValue?.members ?? [] { flatten(member.value, "\(path):\(member.name)", &out) }
  }
}
