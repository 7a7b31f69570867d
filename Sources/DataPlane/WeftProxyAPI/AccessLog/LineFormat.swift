package import WeftBase
package import WeftModel
package import WeftTelemetry

/// What a line looks like, compiled. *Shape*: trivially copyable; its text lives in the storage it was compiled into.
package struct LineFormat: BitwiseCopyable, Sendable {
  @usableFromInline enum Shape: BitwiseCopyable, Sendable { case text(FormatProgram), json(JSONProgram) }

  @usableFromInline let shape: Shape
  @usableFromInline let omitsEmpty: Bool

  /// *Errors*: below `log_format`, as the messages of all loggers name it.
  package init(_ format: LogFormat, _ storage: SnapshotStorage) throws(ConfigError) {
    omitsEmpty = format.omitsEmptyValues
    do throws(ConfigError) {
      switch format.shape {
      case .standard: shape = .text(try FormatProgram.compile(FormatProgram.standardText, arena: storage.arena))
      case .text(let text): shape = .text(try FormatProgram.compile(text, arena: storage.arena))
      case .json(let json):
        var builder = JSONProgram.Builder(arena: storage.arena)
        try Self.build(json, key: nil, &builder)
        shape = .json(builder.finish())
      }
    } catch { throw error.inside(FieldPath().field("log_format")) }
  }

  private static func build(
    _ shape: LogFormat.JSONShape, key: String?, _ builder: inout JSONProgram.Builder
  ) throws(ConfigError) {
    switch shape {
    case .format(let text):
      do throws(ConfigError) { try builder.value(text, key: key) } catch {
        throw error.inside(key.map { FieldPath().field($0) } ?? .root)
      }
    case .number(let number):
      let text = number == number.rounded() && abs(number) < 1e15 ? "\(Int64(number))" : "\(number)"
      builder.constant(number.isFinite ? text : "null", key: key)
    case .bool(let flag): builder.constant(flag ? "true" : "false", key: key)
    case .null: builder.constant("null", key: key)
    case .object(let fields):
      builder.openObject(key: key)
      for field in fields { try build(field.value, key: field.name, &builder) }
      builder.closeObject()
    case .array(let items):
      builder.openArray(key: key)
      for item in items { try build(item, key: nil, &builder) }
      builder.closeArray()
    }
  }

  /// Whether lines tell where connections to endpoints come from.
  package var tellsUpstreamLocal: Bool {
    switch shape {
    case .text(let program): program.tellsUpstreamLocal
    case .json(let program): program.tellsUpstreamLocal
    }
  }

  /// Appends the line of `source`, with the line end that its format has.
  @inlinable package func append<S: AccessLogSource>(_ source: S, to line: inout ByteBuffer) {
    switch shape {
    case .text(let program): program.append(from: source, omitEmpty: omitsEmpty, to: &line)
    case .json(let program): program.append(from: source, omitEmpty: omitsEmpty, to: &line)
    }
  }
}
