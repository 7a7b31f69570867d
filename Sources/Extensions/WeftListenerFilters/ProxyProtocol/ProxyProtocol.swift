package import WeftBase
import WeftHTTP
package import WeftModel
import WeftProtobuf
package import WeftProxyAPI
import WeftRuntime
import WeftTelemetry
import WeftXDS
import WeftXDSMessages

/// Takes the PROXY protocol header in front of a connection: its addresses become those of the connection.
///
/// A header has to come, unless `allow_requests_without_proxy_protocol` says otherwise, which leaves every client to say who it is. A
/// version that is disallowed is then no header at all; without that permission it is refused.
package final class ProxyProtocol: ListenerFilter {
  package static var name: StaticString { "envoy.filters.listener.proxy_protocol" }
  package static var message: String { Envoy_Extensions_Filters_Listener_ProxyProtocol_V3_ProxyProtocol.schema.name }

  private let metrics: MetricsRegistry
  private let scope: ScopeID
  private let root: ScopeID
  private let settings: ProxyProtocolSettings
  package var limit: Int { ProxyProtocolHeader.maximumBytes }

  package init(_ config: ExtensionConfig, _ context: ListenerFilterContext) throws(ConfigError) {
    settings = try ExtensionReader().proxyProtocol(config)
    metrics = context.metrics
    scope = metrics.scope(ScopeKey(.proxyProtocol, settings.statPrefix))
    root = metrics.scope(ScopeKey(.root))
  }

  package func inspect(_ bytes: ByteView, _ facts: inout ConnectionFacts) -> ListenerFilterVerdict {
    if settings.allowsRequestsWithoutHeader {
      // No wait for what would not be read: the mark of a version that is not allowed.
      let first = bytes.first
      if first == UInt8(ascii: "P") ? !settings.allowsText : first == 0x0d && !settings.allowsBinary {
        return withoutHeader(facts)
      }
    }
    switch ProxyProtocolHeader.read(bytes) {
    case .needMore: return .needMore
    case .none: return withoutHeader(facts)
    case .malformed(let version): return refuse(version, facts)
    case .header(let header):
      if header.version == .one ? !settings.allowsText : !settings.allowsBinary {
        count(header.version == .one ? .v1Found : .v2Found, facts)
        count(header.version == .one ? .v1Disallowed : .v2Disallowed, facts)
        return .refuse
      }
      guard take(header, &facts) else { return refuse(header.version, facts) }
      count(header.version == .one ? .v1Found : .v2Found, facts)
      return .done(taking: header.length)
    }
  }

  private func withoutHeader(_ facts: ConnectionFacts) -> ListenerFilterVerdict {
    if settings.allowsRequestsWithoutHeader {
      count(.notFoundAllowed, facts)
      return .done(taking: 0)
    }
    count(.notFoundDisallowed, facts)
    countError(facts)
    return .refuse
  }

  private func refuse(_ version: ProxyProtocolHeader.Version, _ facts: ConnectionFacts) -> ListenerFilterVerdict {
    count(version == .one ? .v1Error : .v2Error, facts)
    countError(facts)
    return .refuse
  }

  private func count(_ metric: ProxyProtocolMetric, _ facts: ConnectionFacts) {
    metrics.block(ProxyProtocolMetric.self, scope, worker: facts.worker).add(metric)
  }

  private func countError(_ facts: ConnectionFacts) {
    metrics.block(RootMetric.self, root, worker: facts.worker).add(.downstreamCxProxyProtoError)
  }

  /// *Returns*: whether the addresses can be those of a connection.
  private func take(_ header: ProxyProtocolHeader, _ facts: inout ConnectionFacts) -> Bool {
    if header.form != .none {
      guard let source = Self.address(header.source, header), let destination = Self.address(header.destination, header)
      else { return false }
      facts.source = SocketAddress(source, port: header.sourcePort)
      facts.destination = SocketAddress(destination, port: header.destinationPort)
    }
    if settings.rules.isEmpty, settings.passed == ExtensionTypes() { return true }
    header.forEachExtension { type, value in
      if settings.passed.contains(type) {
        facts.passedExtensions += [type, UInt8(value.count >> 8), UInt8(value.count & 255)] + value.array
      }
      for rule in settings.rules where rule.type == type {
        // The first of a type counts.
        if !facts.values.contains(where: { $0.space == rule.space && $0.key == rule.key }) {
          facts.values.append(ConnectionValue(space: rule.space, key: rule.key, value: value.array))
        }
        return
      }
    }
    return true
  }

  /// The address of a host: neither none nor one of many.
  private static func address(_ written: ByteView, _ header: ProxyProtocolHeader) -> IPAddress? {
    let address: IPAddress
    if header.form == .text {
      guard let parsed = IPAddress(bytes: written) else { return nil }
      address = parsed
    } else if header.isIPv6 {
      let high = UInt64(written.loadBigEndianUInt32(at: 0)) << 32 | UInt64(written.loadBigEndianUInt32(at: 4))
      let low = UInt64(written.loadBigEndianUInt32(at: 8)) << 32 | UInt64(written.loadBigEndianUInt32(at: 12))
      address = IPAddress(v6High: high, low: low)
    } else {
      address = IPAddress(v4: written.loadBigEndianUInt32(at: 0))
    }
    if (address.family == .v6) != header.isIPv6 || address.isAny { return nil }
    return address.isMulticast || address == IPAddress(v4: .max) ? nil : address
  }
}

extension IPAddress {
  /// 224.0.0.0/4 or ff00::/8.
  fileprivate var isMulticast: Bool {
    family == .v4 ? isInside(IPAddress(v4: 0xe000_0000), prefixLength: 4) : high >> 56 == 0xff
  }
}
