// HostileFilters: extensions with random configurations, as Envoy's JSON has them.

import WeftBase
import WeftListenerFilters
import WeftModel
import WeftProtobuf
import WeftTestKit
import WeftXDS
import WeftXDSMessages

/// What stands in front of routers, connections and listeners in a hostile world. Every choice is the world's.
struct HostileFilters {
  static let types = TypeRegistry(EnvoyTypes.all)
  private static let always = #"{"default_value": {"numerator": 100}}"#

  let world: SimWorld

  static func config<M: Message>(_ type: M.Type, _ json: String) -> ExtensionConfig {
    do {
      let message = try M(
        json: JSONValue(parsing: Array(json.utf8)), options: JSONDecodingOptions(registry: types))
      return ExtensionConfig(typeName: M.schema.name, message: message.serialized())
    } catch { preconditionFailure("\(json): \(error)") }
  }

  // MARK: HTTP

  static let router = ConfiguredFilter(name: "router", .router(RouterOptions()))

  /// Any chain, the router last.
  func chain() -> [ConfiguredFilter] {
    (0..<world.pick([0, 0, 1, 2, 4])).map { number in
      let (name, config) = world.pick([fault, fault, limit, authz, authz, mutation, cors])()
      var filter = ConfiguredFilter(name: "\(name)-\(number)", .filter(config))
      filter.isDisabled = world.chance(1, in: 10)
      return filter
    } + [Self.router]
  }

  /// One that hurts nobody: what it holds it lets go, what it changes nobody minds.
  func kindChain() -> [ConfiguredFilter] {
    var list: [ConfiguredFilter] = []
    if world.chance(1, in: 2) {
      list.append(ConfiguredFilter(name: "mutation", .filter(mutation().config)))
    }
    if world.chance(1, in: 2) {
      let share = world.pick([0, 20])
      list.append(
        ConfiguredFilter(
          name: "fault",
          .filter(
            Self.config(
              Envoy_Extensions_Filters_Http_Fault_V3_HTTPFault.self,
              """
              {"delay": {"fixed_delay": "0.03s", "percentage": {"numerator": \(share)}},
               "response_rate_limit": {"fixed_limit": {"limit_kbps": 200}, "percentage": {"numerator": \(share)}}}
              """))))
    }
    if world.chance(1, in: 2) {
      let body =
        world.chance(1, in: 2)
        ? #", "with_request_body": {"max_request_bytes": 300, "allow_partial_message": true}"# : ""
      list.append(
        ConfiguredFilter(name: "authz", .filter(ask("authz", "20s", isGRPC: false, body))))
    }
    if world.chance(1, in: 2) {
      list.append(ConfiguredFilter(name: "limit", .filter(bucket(1_000_000, #", "filter_enforced": \#(Self.always)"#))))
    }
    for i in list.indices { list.swapAt(i, i + world.random.next(below: list.count - i)) }
    return list + [Self.router]
  }

  /// What a route may say of the filters of `chain`.
  func overrides(_ chain: [ConfiguredFilter]) -> [String: FilterOverride] {
    var all: [String: FilterOverride] = [:]
    for filter in chain.dropLast() where world.chance(1, in: 4) {
      let kind = filter.name.split(separator: "-")[0]
      let config: ExtensionConfig? =
        switch kind {
        case "fault": fault().config
        case "limit": limit().config
        case "cors":
          Self.config(
            Envoy_Extensions_Filters_Http_Cors_V3_CorsPolicy.self,
            #"{"allow_origin_string_match": [{"prefix": "h"}], "allow_methods": "GET", "max_age": "5"}"#)
        case "authz":
          Self.config(
            Envoy_Extensions_Filters_Http_ExtAuthz_V3_ExtAuthzPerRoute.self,
            world.pick([
              #"{"disabled": true}"#, #"{"check_settings": {"context_extensions": {"a": "b"}}}"#,
              #"{"check_settings": {"disable_request_body_buffering": true}}"#,
              #"{"check_settings": {"with_request_body": {"max_request_bytes": 10}}}"#,
            ]))
        default: nil
        }
      all[filter.name] = FilterOverride(config: config, isDisabled: config == nil || world.chance(1, in: 3))
    }
    return all
  }

  private func fault() -> (name: String, config: ExtensionConfig) {
    let share = world.pick([10, 50, 100])
    let percentage = #""percentage": {"numerator": \#(share)}"#
    var parts: [String] = []
    if world.chance(1, in: 2) {
      let delay = world.pick([#""fixed_delay": "0.02s""#, #""fixed_delay": "2s""#, #""header_delay": {}"#])
      parts.append(#""delay": {\#(delay), \#(percentage)}"#)
    }
    if world.chance(1, in: 3) {
      let abort = world.pick([#""http_status": 503"#, #""grpc_status": 14"#, #""header_abort": {}"#])
      parts.append(#""abort": {\#(abort), \#(percentage)}"#)
    }
    if world.chance(1, in: 2) {
      let pace = world.pick([
        #""fixed_limit": {"limit_kbps": 1}"#, #""fixed_limit": {"limit_kbps": 64}"#, #""header_limit": {}"#,
      ])
      parts.append(#""response_rate_limit": {\#(pace), \#(percentage)}"#)
    }
    if world.chance(1, in: 3) { parts.append(#""max_active_faults": \#(world.pick([0, 1, 3]))"#) }
    return (
      "fault", Self.config(Envoy_Extensions_Filters_Http_Fault_V3_HTTPFault.self, "{\(parts.joined(separator: ", "))}")
    )
  }

  private func bucket(_ tokens: Int, _ more: String) -> ExtensionConfig {
    Self.config(
      Envoy_Extensions_Filters_Http_LocalRatelimit_V3_LocalRateLimit.self,
      """
      {"stat_prefix": "lim", "filter_enabled": \(Self.always)\(more),
       "token_bucket": {"max_tokens": \(tokens), "tokens_per_fill": \(tokens), "fill_interval": "0.5s"}}
      """)
  }

  private func limit() -> (name: String, config: ExtensionConfig) {
    var more = world.chance(2, in: 3) ? #", "filter_enforced": \#(Self.always)"# : ""
    if world.chance(1, in: 2) { more += #", "local_rate_limit_per_downstream_connection": true"# }
    if world.chance(1, in: 3) { more += #", "status": {"code": "ServiceUnavailable"}"# }
    return ("limit", bucket(world.pick([1, 5, 100]), more))
  }

  private func ask(_ cluster: String, _ timeout: String, isGRPC: Bool, _ more: String) -> ExtensionConfig {
    let service =
      isGRPC
      ? #""grpc_service": {"envoy_grpc": {"cluster_name": "\#(cluster)"}, "timeout": "\#(timeout)"}"#
      : #"""
      "http_service": {"server_uri": {"uri": "http://a", "cluster": "\#(cluster)", "timeout": "\#(timeout)"},
        "authorization_response": {"allowed_upstream_headers": {"patterns": [{"prefix": "x-"}]},
          "allowed_client_headers": {"patterns": [{"prefix": "x-"}]}}}
      """#
    return Self.config(
      Envoy_Extensions_Filters_Http_ExtAuthz_V3_ExtAuthz.self,
      #"{"transport_api_version": "V3", \#(service)\#(more)}"#)
  }

  private func authz() -> (name: String, config: ExtensionConfig) {
    let isGRPC = world.chance(1, in: 2)
    let cluster =
      isGRPC
      ? world.pick(["bad-h2", "bad-h2", "bad-h2", "dead"]) : world.pick(["authz", "bad-h1", "bad-h2", "nobody"])
    var more = #", "failure_mode_allow": \#(world.chance(1, in: 2))"#
    switch world.pick(0...4) {
    case 0: more += #", "with_request_body": {"max_request_bytes": 100}"#
    case 1: more += #", "with_request_body": {"max_request_bytes": 2000, "allow_partial_message": true}"#
    default: break
    }
    if world.chance(1, in: 3) { more += #", "clear_route_cache": true"# }
    return ("authz", ask(cluster, world.pick(["0.03s", "0.3s", "3s"]), isGRPC: isGRPC, more))
  }

  private func mutation() -> (name: String, config: ExtensionConfig) {
    func add(_ name: String, _ value: String, _ action: String) -> String {
      #"{"append": {"header": {"key": "\#(name)", "value": "\#(value)"}, "append_action": "\#(action)"}}"#
    }
    let actions = [
      "APPEND_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT", "OVERWRITE_IF_EXISTS_OR_ADD", "OVERWRITE_IF_EXISTS",
    ]
    let list = (0..<world.pick(1...4)).map { _ in
      world.pick([
        add("x-hm", world.pick(["1", "%REQ(x-a)%", "%PROTOCOL%"]), world.pick(actions)), #"{"remove": "x-a"}"#,
      ])
    }.joined(separator: ", ")
    return (
      "mutation",
      Self.config(
        Envoy_Extensions_Filters_Http_HeaderMutation_V3_HeaderMutation.self,
        #"{"mutations": {"request_mutations": [\#(list)], "response_mutations": [\#(list)]}}"#)
    )
  }

  private func cors() -> (name: String, config: ExtensionConfig) {
    ("cors", Self.config(Envoy_Extensions_Filters_Http_Cors_V3_Cors.self, "{}"))
  }

  // MARK: Connections

  /// In front of a terminal filter.
  func network() -> [ConfiguredNetworkFilter] {
    var list: [ConfiguredNetworkFilter] = []
    if world.chance(1, in: 3) {
      let delay = world.pick(["", #", "delay": "0.1s""#, #", "delay": "2s""#])
      list.append(
        .filter(
          Self.config(
            Envoy_Extensions_Filters_Network_ConnectionLimit_V3_ConnectionLimit.self,
            #"{"stat_prefix": "cl", "max_connections": \#(world.pick([1, 2, 100]))\#(delay)}"#)))
    }
    if world.chance(1, in: 3) {
      list.append(
        .filter(
          Self.config(
            Envoy_Extensions_Filters_Network_LocalRatelimit_V3_LocalRateLimit.self,
            #"{"stat_prefix": "nl", "token_bucket": {"max_tokens": \#(world.pick([1, 4])), "fill_interval": "0.3s"}}"#)
        ))
    }
    return list
  }

  /// With room for everybody.
  func kindNetwork() -> [ConfiguredNetworkFilter] {
    if world.chance(1, in: 2) { return [] }
    return [
      .filter(
        Self.config(
          Envoy_Extensions_Filters_Network_ConnectionLimit_V3_ConnectionLimit.self,
          #"{"stat_prefix": "kind", "max_connections": 100000}"#))
    ]
  }

  // MARK: Listeners

  /// In front of everything. `kind`: nobody is refused for what he sends or does not.
  func listener(kind: Bool) -> [ConfiguredListenerFilter] {
    var list: [ConfiguredListenerFilter] = []
    if world.chance(1, in: 3) {
      let allows = kind || world.chance(1, in: 2)
      list.append(
        ConfiguredListenerFilter(
          Self.config(
            Envoy_Extensions_Filters_Listener_ProxyProtocol_V3_ProxyProtocol.self,
            #"{"allow_requests_without_proxy_protocol": \#(allows), "rules": [{"tlv_type": 2, "on_tlv_present": {"key": "v"}}]}"#
          )))
    }
    if world.chance(1, in: 3) {
      list.append(ConfiguredListenerFilter(ExtensionConfig(typeName: TLSInspector.message, message: [])))
    }
    if world.chance(1, in: 3) {
      list.append(ConfiguredListenerFilter(ExtensionConfig(typeName: HTTPInspector.message, message: [])))
    }
    return list
  }
}
