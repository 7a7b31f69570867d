import Testing
import WeftModel
import WeftProxyAPI

@testable import WeftProtocols

@Suite("the registry of protocols")
struct RegistryTests {
  @Test("the control plane knows what weft-proxy comes with")
  func shipped() { #expect(Protocols.registry.known == KnownExtensions.shipped.protocols) }

  @Test("protocols are sorted by name")
  func sorted() {
    var names: [String] = []
    for codec in Protocols.all { names.append(codec.name.description) }
    #expect(names == names.sorted())
  }
}
