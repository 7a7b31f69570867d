// A result in the form `-o` asks for.
import WeftBase
import WeftYAML

extension Terminal {
  /// Prints `value` as JSON or YAML when asked to, else what `table` makes of it.
  func show(_ value: JSONValue, as form: String?, table: () -> String) {
    switch form {
    case "json": print(value.text(.pretty))
    case "yaml": print(YAML.text(value).trimmingTrailingNewline())
    default: print(table())
    }
  }
}

extension String {
  func trimmingTrailingNewline() -> String {
    hasSuffix("\n") ? String(dropLast()) : self
  }
}
