// Changes of heads as configuration asks for them.

package import WeftBase
package import WeftHTTP
package import WeftModel
package import WeftTelemetry

/// One change of a head.
@usableFromInline
package struct CompiledHeaderChange: BitwiseCopyable {
  package enum Operation: UInt8, BitwiseCopyable { case remove, append, addIfAbsent, overwrite, overwriteIfExists }
  package var operation: Operation
  package var id: HeaderName
  package var name: ByteView
  /// The value when it holds no operator.
  package var value: ByteView
  package var keepsEmpty: Bool
  /// `.sound` for a literal that any field line can hold.
  package var flags: HeaderField.Flags
  /// The value's format when it holds operators.
  package var format: FormatProgram?

  package init(
    _ operation: Operation, id: HeaderName, name: ByteView, value: ByteView = .empty, keepsEmpty: Bool = false,
    format: FormatProgram? = nil
  ) {
    self.operation = operation
    self.id = id
    self.name = name
    self.value = value
    self.keepsEmpty = keepsEmpty
    flags = format == nil && MessageHead.isSound(name: name, value: value) ? .sound : []
    self.format = format
  }
}

extension SnapshotStorage {
  /// Compiles one level's changes: removals first, then additions in order.
  package func changes(_ mutations: HeaderMutations) throws(ConfigError) -> [CompiledHeaderChange] {
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
  package var headerName: HeaderName { HeaderName.find(self) }
}

extension MessageHead {
  /// Applies changes in order. `source` feeds operators, `scratch` holds a value while it is made.
  /// *Cost*: no allocation for literal values; a formatted value is copied into the head's arena.
  package func apply<S: AccessLogSource>(
    _ changes: ConstantTable<CompiledHeaderChange>, from source: S, scratch: inout ByteBuffer
  ) {
    for i in changes.indices {
      let id = changes[i].id
      let name = changes[i].name
      if changes[i].operation == .remove {
        if id == .other { remove(named: name) } else { remove(id) }
        continue
      }
      var value = changes[i].value
      if changes[i].format != nil {
        scratch.removeAll()
        changes[i].format?.appendHeaderValue(from: source, to: &scratch)
        value = copy(scratch.view)
      }
      if value.isEmpty, !changes[i].keepsEmpty { continue }
      let flags = changes[i].flags
      switch changes[i].operation {
      case .append:
        if id == .host { authority = value } else { append(id, named: name, value, flags: flags) }
      case .addIfAbsent:
        if id != .host, !contains(id, name) { append(id, named: name, value, flags: flags) }
      case .overwrite, .overwriteIfExists:
        if id == .host {
          authority = value
        } else if changes[i].operation == .overwrite || contains(id, name) {
          if id == .other { remove(named: name) } else { remove(id) }
          append(id, named: name, value, flags: flags)
        }
      case .remove: break
      }
    }
  }

  private func contains(_ id: HeaderName, _ name: ByteView) -> Bool {
    id == .other ? first(named: name) != nil : contains(id)
  }
}
