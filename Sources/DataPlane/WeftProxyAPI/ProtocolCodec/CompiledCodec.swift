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

/// The codecs that a program brings along, by the messages that configure them.
package struct ProtocolRegistry: Sendable {
  package static let none = ProtocolRegistry([])
  private let byMessage: [String: any ProtocolCodec.Type]

  package init(_ codecs: [any ProtocolCodec.Type]) {
    var all: [String: any ProtocolCodec.Type] = [:]
    for codec in codecs {
      for message in codec.messages { all[message] = codec }
    }
    byMessage = all
  }

  package func codec(configuredBy message: String) -> (any ProtocolCodec.Type)? { byMessage[message] }

  /// Every message with the name of its codec.
  package var known: [String: String] { byMessage.mapValues { "\($0.name)" } }
}
