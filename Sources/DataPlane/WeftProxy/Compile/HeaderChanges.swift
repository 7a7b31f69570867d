package import WeftBase
package import WeftHTTP
import WeftModel
package import WeftTelemetry

extension SnapshotStorage {
  /// Compiles one level's changes: removals first, then additions in order.
  func changes(_ mutations: HeaderMutations) throws(ConfigError) -> [CompiledHeaderChange] {
    var out: [CompiledHeaderChange] = []
    for name in mutations.remove {
      out.append(CompiledHeaderChange(.remove, id: text(name.lowercased()).headerName, name: text(name)))
    }
    for option in mutations.add {
      let program: FormatProgram
      do throws(ConfigError) { program = try FormatProgram.compile(option.value, arena: arena) } catch {
        throw ConfigError(path: error.path, "value of header \(option.name): \(error.message)")
      }
      let operation: CompiledHeaderChange.Operation =
        switch option.action {
        case .appendIfExistsOrAdd: .append
        case .addIfAbsent: .addIfAbsent
        case .overwriteIfExistsOrAdd: .overwrite
        case .overwriteIfExists: .overwriteIfExists
        }
      out.append(
        CompiledHeaderChange(
          operation, id: text(option.name.lowercased()).headerName, name: text(option.name),
          value: program.literal ?? .empty, keepsEmpty: option.keepEmptyValue,
          format: program.literal == nil ? program : nil))
    }
    return out
  }
}

extension ByteView {
  var headerName: HeaderName { HeaderName.find(self) }
}

extension MessageHead {
  /// Applies changes in order. `source` feeds operators, `scratch` holds a value while it is made.
  /// *Cost*: no allocation for literal values; a formatted value is copied into the head's arena.
  package func apply<S: AccessLogSource>(
    _ changes: ConstantTable<CompiledHeaderChange>, from source: S, scratch: inout ByteBuffer
  ) {
    for i in changes.indices {
      let name = changes[i].name
      if changes[i].operation == .remove {
        remove(named: name)
        continue
      }
      var value = changes[i].value
      if let format = changes[i].format {
        scratch.removeAll()
        format.appendHeaderValue(from: source, to: &scratch)
        value = copy(scratch.view)
      }
      if value.isEmpty, !changes[i].keepsEmpty { continue }
      let isHost = changes[i].id == .host
      switch changes[i].operation {
      case .append: if isHost { authority = value } else { append(named: name, value) }
      case .addIfAbsent: if !isHost, first(named: name) == nil { append(named: name, value) }
      case .overwrite: if isHost { authority = value } else { set(named: name, value) }
      case .overwriteIfExists:
        if isHost { authority = value } else if first(named: name) != nil { set(named: name, value) }
      case .remove: break
      }
    }
  }
}
