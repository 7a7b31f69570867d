import Testing
import WeftAccessLogs
import WeftHTTPFilters
import WeftListenerFilters
import WeftLoadBalancers
import WeftModel
import WeftNetworkFilters
import WeftProtocols
import WeftProxyAPI
import WeftTestKit

/// The control plane cannot ask weft-proxy, nor import what it is made of: what it needs to know is written down for it.
@Suite("what weft-proxy comes with")
struct ShippedTests {
  private static let known = ProxyExtensions(
    httpFilters: HTTPFilters.registry, networkFilters: NetworkFilters.registry,
    listenerFilters: ListenerFilters.registry, loadBalancers: LoadBalancers.registry,
    retryPriorities: RetryPriorities.registry, protocols: Protocols.registry,
    accessLogs: AccessLogs.registry
  ).known

  @Test("is written down for the control plane: `make docs` makes the list of the registries")
  func shipped() throws {
    let text = Self.text(Self.known)
    let file = "../../Sources/Model/WeftModel/Common/ShippedExtensions.swift"
    #expect(try Golden.expected(file, for: text) == text, "out of date: make docs, and build again")
    #expect(KnownExtensions.shipped == Self.known)
  }

  private static func text(_ known: KnownExtensions) -> String {
    """
    // Made by `make docs` from the registries of extensions.

    extension KnownExtensions {
      /// Those that weft-proxy comes with, for whoever writes configuration for it and cannot ask it.
      package static let shipped: KnownExtensions = {
        var known = KnownExtensions()
        known.httpFilters = \(table(known.httpFilters))
        known.upstreamFilters = \(table(known.upstreamFilters))
        known.routeFilters = \(list(known.routeFilters.sorted().map { "\"\($0)\"" }))
        known.listenerFilters = \(table(known.listenerFilters))
        known.networkFilters.merge(
          \(table(known.networkFilters.filter { TerminalNetworkFilter(rawValue: $0.key) == nil }, indent: 8))
        ) { $1 }
        known.terminalFilters.formUnion(\(list(terminals(known))))
        known.loadBalancers = \(table(known.loadBalancers))
        known.retryPriorities = \(table(known.retryPriorities))
        known.protocols = \(table(known.protocols))
        known.accessLogs = \(table(known.accessLogs))
        return known
      }()
    }

    """
  }

  /// Those that end a chain and are not the engine's.
  private static func terminals(_ known: KnownExtensions) -> [String] {
    known.terminalFilters.subtracting(TerminalNetworkFilter.known.keys).sorted().map { "\"\($0)\"" }
  }

  private static func table(_ entries: [String: String], indent: Int = 6) -> String {
    list(
      entries.sorted { $0.key < $1.key }.map { message, name in
        let line = "\"\(message)\": \"\(name)\""
        return indent + line.count < 120
          ? line : "\"\(message)\":\n\(String(repeating: " ", count: indent + 2))\"\(name)\""
      }, indent: indent)
  }

  /// As the formatter has it: no comma behind a single element.
  private static func list(_ elements: [String], indent: Int = 6) -> String {
    let space = String(repeating: " ", count: indent)
    let comma = elements.count > 1 ? "," : ""
    return "[\n\(space)" + elements.joined(separator: ",\n\(space)") + "\(comma)\n" + space.dropLast(2) + "]"
  }
}
