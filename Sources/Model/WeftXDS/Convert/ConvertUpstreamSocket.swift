package import WeftBase
package import WeftModel
import WeftProtobuf
package import WeftXDSMessages

extension Converter {
  /// What connections to endpoints are wrapped in.
  func transportSocket(
    _ value: Envoy_Config_Core_V3_TransportSocket, _ out: inout Cluster, _ at: FieldPath
  ) throws(ConfigError) {
    guard case .typedConfig(let any)? = value.configType,
      any.holds(Envoy_Extensions_TransportSockets_ProxyProtocol_V3_ProxyProtocolUpstreamTransport.self)
    else {
      out.tls = try upstreamTLS(value, at)
      return
    }
    _ = try required(value.name, at.field("name"))
    let path = at.field("typed_config")
    let wrapper = try unpack(
      any, Envoy_Extensions_TransportSockets_ProxyProtocol_V3_ProxyProtocolUpstreamTransport.self, path)
    out.proxyProtocol = try proxyHeader(wrapper.config, path.field("config"))
    unsupported(wrapper.allowUnspecifiedAddress, path, "allow_unspecified_address")
    // tlv_as_pool_key: connections are never shared between clients whose headers differ in anything.
    guard let inner = wrapper.transportSocket else { throw fail(path.field("transport_socket"), "is required") }
    out.tls = try upstreamTLS(inner, path.field("transport_socket"))
  }

  private func proxyHeader(_ value: Envoy_Config_Core_V3_ProxyProtocolConfig?, _ at: FieldPath) throws(ConfigError)
    -> ProxyProtocolHeaderSettings
  {
    var out = ProxyProtocolHeaderSettings()
    guard let value else { return out }
    // Any other number stands for V2, as with Envoy.
    out.version = value.version == .v1 ? .text : .binary
    out.passed = try extensionTypes(value.passThroughTlvs, at.field("pass_through_tlvs"))
    var bytes = 0
    for (i, entry) in value.addedTlvs.enumerated() {
      let path = at.field("added_tlvs").index(i)
      guard entry.type < 256 else { throw fail(path.field("type"), "must be below 256, is \(entry.type)") }
      guard entry.formatString == nil else {
        throw fail(path.field("format_string"), "is not supported; use value, which is the same for all connections")
      }
      out.added.append(.init(type: UInt8(entry.type), value: entry.value))
      bytes += 3 + entry.value.count
    }
    // The length of a header has two bytes; addresses of IPv6 take 36 of what they can say.
    guard bytes <= 65_535 - 36 else {
      throw fail(at.field("added_tlvs"), "take \(bytes) bytes together; 65499 are allowed")
    }
    if out.version == .text {
      for (isSet, field) in [(value.passThroughTlvs != nil, "pass_through_tlvs"), (bytes > 0, "added_tlvs")] where isSet
      {
        warn(at.field(field), "has no effect: headers of version V1 carry no TLVs")
      }
    }
    return out
  }

  func extensionTypes(_ value: Envoy_Config_Core_V3_ProxyProtocolPassThroughTLVs?, _ at: FieldPath)
    throws(ConfigError) -> ExtensionTypes
  {
    guard let value else { return ExtensionTypes() }
    var types: Set<UInt8> = []
    for (i, type) in value.tlvType.enumerated() {
      guard type < 256 else { throw fail(at.field("tlv_type").index(i), "must be below 256, is \(type)") }
      types.insert(UInt8(type))
    }
    return value.matchType == .includeAll ? .all : .some(types)
  }

  /// *Errors*: addresses that are none, and two of one family.
  func binding(_ value: Envoy_Config_Core_V3_BindConfig, _ at: FieldPath) throws(ConfigError) -> UpstreamBinding {
    var out = UpstreamBinding()
    out.freebind = value.freebind?.value ?? false
    out.address = try value.sourceAddress.map { (a) throws(ConfigError) in
      try literal(a, at.field("source_address"))
    }
    var others: [(address: Envoy_Config_Core_V3_SocketAddress, at: FieldPath)] = []
    for (i, extra) in value.extraSourceAddresses.enumerated() {
      let path = at.field("extra_source_addresses").index(i)
      guard let address = extra.address else { throw fail(path.field("address"), "is required") }
      unsupported(extra.socketOptions != nil, path, "socket_options")
      others.append((address, path.field("address")))
    }
    for (i, address) in value.additionalSourceAddresses.enumerated() {
      others.append((address, at.field("additional_source_addresses").index(i)))
    }
    if let (address, path) = others.first {
      guard let first = out.address else { throw fail(path, "needs a source_address beside it") }
      guard others.count == 1 else { throw fail(others[1].at, "is one too many: one address beside source_address") }
      let other = try literal(address, path)
      guard isIPv6(other) != isIPv6(first) else {
        throw fail(path, "must be of another IP version than source_address, \(first) and \(other) are of the same")
      }
      out.otherAddress = other
    }
    unsupported(value.localAddressSelector != nil, at, "local_address_selector")
    out.socketOptions = try socketOptions(value.socketOptions, at.field("socket_options"))
    for (i, option) in out.socketOptions.enumerated() where option.stage != .prebind {
      warn(
        at.field("socket_options").index(i).field("state"),
        "has no effect but in a listener: options of a connection are set before it is bound")
    }
    return out
  }

  private func literal(_ value: Envoy_Config_Core_V3_SocketAddress, _ at: FieldPath) throws(ConfigError) -> Address {
    let address = try socketAddress(value, at)
    guard case .socket(let host, _) = address, IPText.parse(host) != nil else {
      throw fail(at.field("address"), "malformed IP address: \(value.address); our own address must be an IP literal")
    }
    return address
  }

  private func isIPv6(_ address: Address) -> Bool {
    if case .socket(let host, _) = address { IPText.parse(host)?.count == 16 } else { false }
  }

  package func originalSource(_ value: Envoy_Extensions_Filters_Listener_OriginalSrc_V3_OriginalSrc, _ at: FieldPath)
    -> OriginalSourceSettings
  {
    var out = OriginalSourceSettings()
    out.mark = value.mark
    unsupported(value.bindPort, at, "bind_port")
    return out
  }
}
