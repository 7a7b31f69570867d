// ExtensionRegistry: the members of a family of extensions, found by the message that configures them.

import WeftModel

/// What a program brings along of one family. *Shape*: `Member` is a protocol's metatype; the families below say what their messages are.
package struct ExtensionRegistry<Member: Sendable>: Sendable {
  private let byMessage: [String: Member]
  /// The members' names by message: what whoever converts configuration needs to know of them.
  package let known: [String: String]

  /// `engine`: what of the family the engine serves itself.
  private init(
    _ members: [Member], engine: [String: String] = [:],
    _ describe: (Member) -> (name: StaticString, messages: [String])
  ) {
    var byMessage: [String: Member] = [:]
    var known = engine
    for member in members {
      let (name, messages) = describe(member)
      for message in messages where known[message] == nil {
        byMessage[message] = member
        known[message] = "\(name)"
      }
    }
    self.byMessage = byMessage
    self.known = known
  }

  package subscript(configuredBy message: String) -> Member? { byMessage[message] }
  package var members: Dictionary<String, Member>.Values { byMessage.values }
}

package typealias HTTPFilterRegistry = ExtensionRegistry<any HTTPFilter.Type>
package typealias NetworkFilterRegistry = ExtensionRegistry<any NetworkFilter.Type>
package typealias ListenerFilterRegistry = ExtensionRegistry<any ListenerFilter.Type>
package typealias LoadBalancerRegistry = ExtensionRegistry<any LoadBalancerPolicy.Type>
package typealias RetryPriorityRegistry = ExtensionRegistry<any RetryPriorityPolicy.Type>
package typealias AccessLogRegistry = ExtensionRegistry<any AccessLogSink.Type>
package typealias ProtocolRegistry = ExtensionRegistry<any ProtocolCodec.Type>

extension HTTPFilterRegistry {
  package init(_ filters: [any HTTPFilter.Type]) { self.init(filters) { ($0.name, [$0.messages.chain]) } }
}

extension NetworkFilterRegistry {
  package init(_ filters: [any NetworkFilter.Type]) {
    self.init(filters, engine: TerminalNetworkFilter.known) { ($0.name, [$0.message]) }
  }

  /// The messages of those that end a chain.
  package var terminal: [String] { members.compactMap { $0 is any TerminalFilter.Type ? $0.message : nil } }
}

extension ListenerFilterRegistry {
  package init(_ filters: [any ListenerFilter.Type]) { self.init(filters) { ($0.name, [$0.message]) } }
}

extension LoadBalancerRegistry {
  package init(_ policies: [any LoadBalancerPolicy.Type]) { self.init(policies) { ($0.name, [$0.message]) } }
}

extension RetryPriorityRegistry {
  package init(_ policies: [any RetryPriorityPolicy.Type]) { self.init(policies) { ($0.name, [$0.message]) } }
}

extension AccessLogRegistry {
  package init(_ sinks: [any AccessLogSink.Type]) { self.init(sinks) { ($0.name, [$0.message]) } }
}

extension ProtocolRegistry {
  package init(_ codecs: [any ProtocolCodec.Type]) { self.init(codecs) { ($0.name, $0.messages) } }
}
