import Glibc
package import WeftBase
package import WeftModel
package import WeftProxyAPI
import WeftProtobuf
import WeftXDS
import WeftXDSMessages

/// The least busy of a few hosts drawn at random (two by default). Where weights differ, all hosts take turns, and come round later the busier they are.
///
/// *Source*: Mitzenmacher, The Power of Two Choices (2001); Envoy's documentation of `active_request_bias`.
package struct LeastRequest: LoadBalancerPolicy {
  private typealias Message = Envoy_Extensions_LoadBalancingPolicies_LeastRequest_V3_LeastRequest

  package static var name: StaticString { "envoy.load_balancing_policies.least_request" }
  package static var message: String { Message.schema.name }

  package struct Config: BitwiseCopyable {
    var choices = 2
    var bias = 1.0
    var traits = BalancerTraits()
  }

  package static func compile(_ config: ExtensionConfig, _ context: BalancerContext) throws(ConfigError) -> Config {
    let message = try ExtensionReader().message(config, as: Message.self)
    try refuseSlowStart(message.slowStartConfig)
    let root = FieldPath()
    guard message.selectionMethod == .nChoices else {
      throw ConfigError(path: root.field("selection_method"), "must be N_CHOICES; FULL_SCAN is not supported")
    }
    guard message.enableFullScan?.value != true else {
      throw ConfigError(path: root.field("enable_full_scan"), "is not supported")
    }
    var out = Config(traits: try BalancerTraits(message.localityLbConfig))
    if let choices = message.choiceCount?.value {
      guard choices >= 1 else {
        throw ConfigError(path: root.field("choice_count"), "must be 1 or more, is \(choices)")
      }
      out.choices = Int(choices)
    }
    if let bias = message.activeRequestBias?.defaultValue {
      guard bias >= 0, bias.isFinite else {
        throw ConfigError(
          path: root.field("active_request_bias").field("default_value"), "must be 0 or more, is \(bias)")
      }
      out.bias = bias
    }
    return out
  }

  package static func traits(_ config: Config) -> BalancerTraits { config.traits }

  /// So many draws for each host leave next to none of them out: looking at each once is the same and costs no more.
  private static let drawsLikeScan = 8

  /// 0: every host is looked at.
  private let choices: Int
  private let bias: Double
  private var hosts = FlatTable<Int32>()
  /// Where weights differ; else empty.
  private var turns = EarliestDeadline()

  package init(_ config: Config, _ list: borrowing BalancerList) {
    bias = config.bias
    choices = config.choices < Self.drawsLikeScan * list.count ? config.choices : 0
    if list.hasEqualWeights { hosts = list.positions() } else { turns = EarliestDeadline(list) }
  }

  package mutating func pick(_ x: borrowing BalancerPick) -> Int32 {
    if hosts.isEmpty { return turn(x) }
    // With replacement; the first of equals wins.
    let first = x.draw(below: hosts.count)
    var best = hosts[first]
    if choices == 0 { return least(from: first, x) }
    for _ in 1..<choices {
      let other = hosts[x.draw(below: hosts.count)]
      if x.active(other) < x.active(best) { best = other }
    }
    return best
  }

  /// The first of those with the fewest requests, beginning at the list's entry `first`.
  private func least(from first: Int, _ x: borrowing BalancerPick) -> Int32 {
    var best = hosts[first]
    for i in first + 1..<first + hosts.count {
      let other = hosts[i < hosts.count ? i : i - hosts.count]
      if x.active(other) < x.active(best) { best = other }
    }
    return best
  }

  private mutating func turn(_ x: borrowing BalancerPick) -> Int32 {
    let member = turns.first
    let load = Double(x.active(member.target)) + 1
    turns.putBack(weight: max(member.weight / (bias == 1 ? load : pow(load, bias)), 1e-9))
    return member.target
  }
}
