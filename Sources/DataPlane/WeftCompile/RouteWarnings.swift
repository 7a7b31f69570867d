// RouteWarnings: what a route table says that has no effect behind the connection managers that use it. The converter cannot know: a discovered
// table comes without them.

import WeftBase
import WeftModel

extension RouteConfiguration {
  /// Every place that may say something about filters and copies, with its path.
  private var levels: [(filters: [String: FilterOverride], mirrors: [MirrorPolicy], path: FieldPath, action: FieldPath)]
  {
    var out = [(filters, mirrors, FieldPath(), FieldPath())]
    for (h, host) in virtualHosts.enumerated() {
      let at = FieldPath().field("virtual_hosts").index(h)
      out.append((host.filters, host.mirrors, at, at))
      for (r, route) in host.routes.enumerated() {
        let path = at.field("routes").index(r)
        guard case .forward(let action) = route.action else {
          out.append((route.filters, [], path, path))
          continue
        }
        out.append((route.filters, action.mirrors, path, path.field("route")))
        guard case .weighted(let split) = action.cluster else { continue }
        for (e, entry) in split.entries.enumerated() {
          let place = path.field("route").field("weighted_clusters").field("clusters").index(e)
          out.append((entry.filters, [], place, place))
        }
      }
    }
    return out
  }

  /// One warning for each name of a filter that none of the managers has, at the first place that says it; for each place that wants copies
  /// where all of them speak a protocol whose messages are not copied.
  func withoutEffect(behind managers: [HTTPConnectionManager]) -> [ConfigError] {
    var names: Set<String> = []
    for manager in managers {
      names.formUnion(manager.filters.map(\.name))
      for upgrade in manager.upgrades { names.formUnion((upgrade.filters ?? []).map(\.name)) }
    }
    let copiesNothing = managers.allSatisfy { $0.protocolCodec != nil }
    var out: [ConfigError] = []
    for level in levels {
      for name in level.filters.keys.sorted() where names.insert(name).inserted {
        out.append(
          ConfigError(
            path: level.path.field("typed_per_filter_config").key(name),
            "has no effect: no filter of the connection manager has that name"))
      }
      if copiesNothing, !level.mirrors.isEmpty {
        out.append(
          ConfigError(
            path: level.action.field("request_mirror_policies"),
            "has no effect: messages of this protocol are not copied"))
      }
    }
    return out
  }
}
