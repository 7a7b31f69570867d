package import WeftBase

/// A compiled JSON access-log line. *Shape*: trivially copyable; steps live in an arena.
package struct JSONProgram: BitwiseCopyable, @unchecked Sendable {  // views of constant memory
  enum Step: BitwiseCopyable {
    case open(key: ByteView, hasKey: Bool, bracket: UInt8)
    case close(bracket: UInt8)
    /// JSON text that is the same for every line.
    case constant(key: ByteView, hasKey: Bool, ByteView)
    case value(key: ByteView, hasKey: Bool, FormatProgram)
  }

  let steps: ConstantTable<Step>

  /// Appends one JSON object and a line feed. A value that is a single operator keeps its type: numbers are numbers and
  /// unset values `null`
  /// (or left out when `omitEmpty`). Everything else is a string.
  package func append<S: AccessLogSource>(from source: S, omitEmpty: Bool = false, to out: inout ByteBuffer) {
    let record = source.record
    for i in steps.indices {
      switch steps[i] {
      case .open(let key, let hasKey, let bracket):
        begin(key, hasKey, &out)
        out.append(bracket)
      case .close(let bracket): out.append(bracket)
      case .constant(let key, let hasKey, let text):
        begin(key, hasKey, &out)
        out.append(text)
      case .value(let key, let hasKey, let program):
        let mark = out.count
        begin(key, hasKey, &out)
        if !append(program, record, source, omitEmpty, &out), omitEmpty, hasKey { out.truncate(to: mark) }
      }
    }
    out.append(UInt8(ascii: "\n"))
  }

  /// Whether it tells where connections to endpoints come from, which nobody asks for its own sake.
  package var tellsUpstreamLocal: Bool {
    for i in steps.indices {
      if case .value(_, _, let program) = steps[i], program.tellsUpstreamLocal { return true }
    }
    return false
  }

  private func begin(_ key: ByteView, _ hasKey: Bool, _ out: inout ByteBuffer) {
    if let last = out.view.last, last != UInt8(ascii: "{"), last != UInt8(ascii: "["), last != UInt8(ascii: "\n") {
      out.append(UInt8(ascii: ","))
    }
    if hasKey { out.append(key) }
  }

  /// False when the value is unset.
  private func append<S: AccessLogSource>(
    _ program: FormatProgram, _ record: AccessLogRecord, _ source: S, _ omitEmpty: Bool, _ out: inout ByteBuffer
  ) -> Bool {
    let mark = out.count
    out.append(UInt8(ascii: "\""))
    let operators = program.operators
    if operators.count == 1 {
      switch FormatWriter.append(operators[0], record, source, escaping: .json, to: &out) {
      case .text: break
      case .missing:
        out.truncate(to: mark)
        out.append("null" as StaticString)
        return false
      case .number:
        out.truncate(to: mark)
        _ = FormatWriter.append(operators[0], record, source, escaping: .json, to: &out)
        return true
      }
    } else {
      for i in operators.indices {
        let outcome = FormatWriter.append(operators[i], record, source, escaping: .json, to: &out)
        if outcome == .missing, !omitEmpty { out.append(UInt8(ascii: "-")) }
      }
    }
    out.append(UInt8(ascii: "\""))
    return true
  }
}

extension JSONProgram {
  /// Builds a program in document order. Every `open` is closed by `close`.
  package struct Builder {
    private let arena: ConstantArena
    private var steps: [Step] = []

    package init(arena: ConstantArena) { self.arena = arena }

    package mutating func openObject(key: String? = nil) {
      steps.append(.open(key: quoted(key), hasKey: key != nil, bracket: UInt8(ascii: "{")))
    }
    package mutating func openArray(key: String? = nil) {
      steps.append(.open(key: quoted(key), hasKey: key != nil, bracket: UInt8(ascii: "[")))
    }
    package mutating func closeObject() { steps.append(.close(bracket: UInt8(ascii: "}"))) }
    package mutating func closeArray() { steps.append(.close(bracket: UInt8(ascii: "]"))) }

    /// JSON text as it stands: a number, `true`, `null`.
    package mutating func constant(_ json: String, key: String? = nil) {
      steps.append(.constant(key: quoted(key), hasKey: key != nil, arena.text(json)))
    }

    /// A string with operators.
    package mutating func value(_ format: String, key: String? = nil) throws(ConfigError) {
      steps.append(.value(key: quoted(key), hasKey: key != nil, try FormatProgram.compile(format, arena: arena)))
    }

    package func finish() -> JSONProgram { JSONProgram(steps: arena.table(steps)) }

    private func quoted(_ key: String?) -> ByteView { key.map { arena.text(JSONEscape.quoted($0) + ":") } ?? .empty }
  }
}
