// CompiledCodec: a codec with its configuration, and the registry of those a program brings along.

package import WeftBase
package import WeftModel

/// A codec as a filter chain names it.
///
/// *Lifetimes*: its configuration lies in the chain's storage; what a connection needs of it is copied when the connection is made.
@safe
package struct CompiledCodec: @unchecked Sendable {  // a metatype and immutable config
  package let code: any ProtocolCodec.Type
  /// Hash of what it was configured with: connections of equal identity speak alike.
  package let identity: UInt64
  private let config: UnsafeRawPointer

  /// *Errors*: what the codec says of its message.
  package init<C: ProtocolCodec>(
    _ code: C.Type, _ config: ExtensionConfig, _ storage: SnapshotStorage
  ) throws(ConfigError) {
    self.code = code
    var hasher = StableHasher()
    hasher.combine(config.typeName)
    hasher.combine(bytes: config.message)
    identity = hasher.finish()
    let compiled = try C.compile(CodecSource(config))
    unsafe self.config = UnsafeRawPointer(storage.keep(compiled).pointer)
  }

  package var name: ByteView { ByteView(code.name) }

  /// A connection's half of the protocol. *Cost*: two allocations per connection.
  package func open(_ peer: CodecPeer) -> CodecCell {
    unsafe CodecCell.make(code, code._open(config, peer), identity)
  }
}
