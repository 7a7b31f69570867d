// RouteTable: which route a request takes.

package import WeftBase
package import WeftHTTP
package import WeftProxyAPI
package import WeftTelemetry
import WeftUpstream

/// What of a request, besides its head, a route may depend on.
package struct RouteInput: BitwiseCopyable {
  /// One draw per stream, the same for each evaluation: decides runtime fractions and weighted clusters.
  package var random: UInt64
  /// The client came by https: to this listener, or to a trusted hop in front of it.
  package var isSecure: Bool
  package var clientCertificatePresented = false
  package var clientCertificateValidated = false
  /// What runtime keys say.
  package var runtime = RuntimeView.empty

  package init(random: UInt64, isSecure: Bool) {
    self.random = random
    self.isSecure = isSecure
  }
}

/// What a route asks of a request.
package struct RouteCondition: BitwiseCopyable {
  package enum Path: UInt8, BitwiseCopyable { case prefix, exact, separatedPrefix, regex, connect }
  package var path = Path.prefix
  package var text = ByteView.empty
  package var regex = RegexRef.none
  package var isCaseSensitive = true
  package var hasFraction = false
  package var fraction = RuntimeShare.all
  package var headers = ConstantTable<CompiledHeaderMatcher>()
  package var query = ConstantTable<CompiledQueryMatcher>()
  package var wantsGRPC = false
  /// −1: does not matter.
  package var certificatePresented: Int8 = -1
  package var certificateValidated: Int8 = -1

  package init() {}

  func matches(_ head: MessageHead, path: ByteView, _ input: RouteInput) -> Bool {
    switch self.path {
    case .prefix:
      guard path.count >= text.count, equals(path.prefix(text.count), text) else { return false }
    case .exact:
      guard path.count == text.count, equals(path, text) else { return false }
    case .separatedPrefix:
      guard path.count >= text.count, equals(path.prefix(text.count), text),
        path.count == text.count || path[text.count] == UInt8(ascii: "/")
      else { return false }
    case .regex:
      guard regex.matchesAll(path) else { return false }
    case .connect:
      guard head.method == .connect else { return false }
    }
    if hasFraction, input.random % 1_000_000 >= UInt64(input.runtime.partsPerMillion(fraction)) { return false }
    if wantsGRPC, !head.isGRPC { return false }
    if certificatePresented >= 0, (certificatePresented == 1) != input.clientCertificatePresented { return false }
    if certificateValidated >= 0, (certificateValidated == 1) != input.clientCertificateValidated { return false }
    if !headers.isEmpty, !headers.allMatch(head) { return false }
    for i in query.indices where !query[i].matches(head.path) { return false }
    return true
  }

  private func equals(_ a: ByteView, _ b: ByteView) -> Bool {
    isCaseSensitive ? a.equals(b) : a.equalsIgnoringCase(b)
  }
}

/// The routes of one virtual host: a range of the table's.
package struct VirtualHostRange: BitwiseCopyable {
  var first: Int32
  var count: Int32
  /// Position of the redirect to https that plain requests get; −1 for none.
  package var secureRedirect: Int32 = -1
  /// Requests from inside get no such redirect.
  package var redirectsOnlyExternal = false

  package init(first: Int32, count: Int32) {
    self.first = first
    self.count = count
  }
}

/// The routes of one route configuration. The head's path and authority must be canonical: the forms that are also
/// forwarded.
package struct RouteTable: BitwiseCopyable {
  /// All routes, those of one virtual host one after the other.
  package let routes: ConstantTable<ConfigRef<CompiledRoute>>
  let conditions: ConstantTable<RouteCondition>
  let virtualHosts: ConstantTable<VirtualHostRange>
  let hosts: HostTable
  let ignoresPort: Bool
  /// Paths are matched without the `;parameters` of their segments.
  let ignoresParameters: Bool

  package init(
    routes: ConstantTable<ConfigRef<CompiledRoute>>, conditions: ConstantTable<RouteCondition>,
    virtualHosts: ConstantTable<VirtualHostRange>, hosts: HostTable, ignoresPort: Bool, ignoresParameters: Bool
  ) {
    self.routes = routes
    self.conditions = conditions
    self.virtualHosts = virtualHosts
    self.hosts = hosts
    self.ignoresPort = ignoresPort
    self.ignoresParameters = ignoresParameters
  }

  /// Whether any route allows an upgrade that its connection manager may not know of.
  package var allowsUpgrades: Bool { routes.indices.contains { !routes[$0][].upgrades.isEmpty } }

  /// Whether any virtual host is the request's.
  package func knowsHost(of head: MessageHead) -> Bool {
    hosts.find(ignoresPort ? head.authority.withoutPort : head.authority) >= 0
  }

  /// Position of the route in `routes`; −1 when none matches.
  /// *Cost*: one hash for the host, then one comparison per route; no allocation unless a route looks at a repeated
  /// header.
  package func match(_ head: MessageHead, _ input: RouteInput) -> Int32 {
    var authority = head.authority
    if ignoresPort { authority = authority.withoutPort }
    let number = hosts.find(authority)
    guard number >= 0 else { return -1 }
    let range = virtualHosts[Int(number)]
    if range.secureRedirect >= 0, !input.isSecure {
      let isExempt = range.redirectsOnlyExternal && head.first(.envoyInternal)?.equals("true") ?? false
      if !isExempt { return range.secureRedirect }
    }
    var path = head.path
    if ignoresParameters { path = PathNormalization.withoutParameters(path, scratch: head) }
    path = path.pathWithoutQuery
    for i in range.first..<range.first + range.count where conditions[Int(i)].matches(head, path: path, input) {
      return i
    }
    return -1
  }
}

extension MessageHead {
  /// Whether the content type is gRPC's: `application/grpc`, alone or followed by `+` or `;`.
  package var isGRPC: Bool {
    guard let type = first(.contentType) else { return false }
    let prefix = ByteView("application/grpc" as StaticString)
    // One byte tells it from most others: asked of every request.
    guard type.count >= prefix.count, type[12] | 0x20 == UInt8(ascii: "g"),
      type.prefix(prefix.count).equalsIgnoringCase(prefix)
    else { return false }
    return type.count == prefix.count || type[prefix.count] == UInt8(ascii: "+")
      || type[prefix.count] == UInt8(ascii: ";")
  }
}

extension ByteView {
  /// Host without `:port`; brackets of an IPv6 literal stay.
  package var withoutPort: ByteView {
    guard let colon = lastIndex(of: UInt8(ascii: ":")) else { return self }
    if let bracket = lastIndex(of: UInt8(ascii: "]")), bracket > colon { return self }
    for i in (colon + 1)..<count where !ASCII.isDigit(self[i]) { return self }
    return prefix(colon)
  }
}
