// RuntimePage: what runtime keys say, and changes of it. *Source*: Envoy's `/runtime` and `/runtime_modify`.

import WeftBase
import WeftCompile
import WeftModel
import WeftYAML

enum RuntimePage {
  static func json(_ report: RuntimeStore.Report) -> JSONValue {
    let entries = report.entries.sorted { $0.key < $1.key }.map { key, values in
      JSONMember(
        key,
        [
          "final_value": .string(values.last { !$0.isEmpty } ?? ""),
          "layer_values": .array(values.map { .string($0) }),
        ])
    }
    return [
      "entries": .object(JSONObject(entries)), "layers": .array(report.layers.map { .string($0) }),
    ]
  }

  private static let usage = """
    usage: /runtime_modify?key1=value1&key2=value2&keyN=valueN
           or send the parameters as form values
    use an empty value to remove a previously added override
    """

  /// Of a key that comes twice, the first value counts.
  static func modify(_ parameters: [(name: String, value: String)], _ report: RuntimeStore.Report) -> AdminResponse {
    if parameters.isEmpty { return AdminResponse(status: 400, body: usage + "\n") }
    guard report.hasAdminLayer else {
      return AdminResponse(status: 503, body: RuntimeStore.ModifyProblem.noAdminLayer.text + "\n")
    }
    var changes: [RuntimeChange] = []
    for (key, text) in parameters where !changes.contains(where: { $0.key == key }) {
      if text.isEmpty {
        changes.append(RuntimeChange(key: key, value: nil))
        continue
      }
      do throws(YAMLError) { changes.append(RuntimeChange(key: key, value: try value(text))) } catch {
        return AdminResponse(status: 503, body: "\(AdminPages.printable(key)): \(error)\n")
      }
    }
    return AdminResponse(body: "OK\n", action: .modifyRuntime(changes))
  }

  /// A document, as a layer of the bootstrap would have it. What is no value of any kind is a text.
  private static func value(_ text: String) throws(YAMLError) -> RuntimeValue {
    RuntimeValue(try YAML.document(text).value, text: text) ?? RuntimeValue(text: text)
  }
}
