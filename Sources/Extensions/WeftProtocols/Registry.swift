// One line per protocol, sorted by name.

package import WeftProxyAPI

package enum Protocols {
  package static let all: [any ProtocolCodec.Type] = [
    DubboCodec.self
  ]

  package static var registry: ProtocolRegistry { ProtocolRegistry(all) }
}
