/// Warnings about routes and matches that can never be taken because an earlier one takes everything they would.
enum UnreachableRoutes {
  static func check(_ routes: [Istio.HTTPRoute], _ found: inout FindingCollector) {
    var catchAll: Int?
    var seen: [Istio.HTTPMatchRequest: (route: Int, match: Int)] = [:]
    found.each("http", routes) { item, route, index in
      if let catchAll {
        item.warning("is never used: http[\(catchAll)] takes every request", code: "IST0130")
        return
      }
      var used = route.match.isEmpty
      item.each("match", route.match) { entry, match, position in
        // The name does not decide anything.
        var meaning = match
        meaning.name = ""
        meaning.statPrefix = ""
        if let first = seen[meaning] {
          entry.warning("is the same as http[\(first.route)].match[\(first.match)], which comes first", code: "IST0131")
        } else {
          seen[meaning] = (index, position)
          used = true
        }
      }
      if !used { item.warning("is never used: all of its matches come earlier", code: "IST0130") }
      if route.match.isEmpty || route.match.contains(where: takesEverything) { catchAll = index }
    }
  }

  private static func takesEverything(_ match: Istio.HTTPMatchRequest) -> Bool {
    guard match.scheme == nil, match.method == nil, match.authority == nil, match.headers.isEmpty,
      match.withoutHeaders.isEmpty, match.queryParams.isEmpty, match.port == 0, match.sourceLabels.isEmpty,
      match.sourceNamespace.isEmpty, match.gateways.isEmpty
    else { return false }
    switch match.uri?.matchType {
    case .prefix("/"), nil: return true
    case .regex(let pattern): return pattern == ".*" || pattern == "*"
    default: return false
    }
  }
}
