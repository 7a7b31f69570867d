// RouteTable: which route a request takes.

package import WeftBase
package import WeftHTTP
package import WeftUpstream

/// What of a request, besides its head, a route may depend on.
package struct RouteInput: BitwiseCopyable {
  /// Host in matching form: lower case, without port.
  package var host: ByteView
  package var random: UInt64
  package var isSecure: Bool
  package var clientCertificatePresented: Bool
  package var clientCertificateValidated: Bool

  package init(host: ByteView, random: UInt64, isSecure: Bool) {
    self.host = host
    self.random = random
    self.isSecure = isSecure
    self.clientCertificatePresented = false
    self.clientCertificateValidated = false
  }
}

/// The routes of one connection manager. The head's path must be canonical.
package struct RouteTable {
  package var routes: [ConfigRef<CompiledRoute>]

  package init(routes: [ConfigRef<CompiledRoute>]) { self.routes = routes }

  /// Position of the route in `routes`; -1 when none matches.
  package func match(_ head: MessageHead, _ input: RouteInput) -> Int32 { routes.isEmpty ? -1 : 0 }
}

/// Which filter chain a connection takes.
package struct FilterChainTable {
  package init() {}

  /// Position of the chain in `CompiledListener.chains`; -1 when none matches.
  package func match(_ input: FilterChainInput) -> Int32 { 0 }
}
