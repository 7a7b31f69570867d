import WeftProtobuf

/// Checks of load-balancer settings.
enum LoadBalancerValidation {
  static func check(_ settings: Istio.LoadBalancerSettings, _ here: inout FindingCollector) {
    var hashes = false
    switch settings.lbPolicy {
    case .consistentHash(let hash):
      hashes = true
      here.at("consistentHash") { check(hash, &$0) }
    case .simple, nil: break
    }
    here.checkDuration("warmupDurationSecs", settings.warmupDurationSecs, .positive)
    if let warmup = settings.warmup {
      if settings.warmupDurationSecs != nil {
        here.error("only one of warmup and warmupDurationSecs may be set")
      }
      here.at("warmup") { inner in
        if warmup.duration == nil { inner.error("duration", "must be set") }
        inner.checkDuration("duration", warmup.duration, .positive)
        if let percent = warmup.minimumPercent { inner.at("minimumPercent") { $0.checkPercent(percent.value) } }
        if let aggression = warmup.aggression, !(aggression.value >= 1) {
          inner.error("aggression", "\(aggression.value) is too small; allowed is 1.0 and more")
        }
      }
    }
    if settings.warmup != nil || settings.warmupDurationSecs != nil {
      let simple: Istio.SimpleLB?
      if case .simple(let value)? = settings.lbPolicy { simple = value } else { simple = nil }
      if hashes || simple == .random || simple == .passthrough {
        here.error(
          settings.warmup != nil ? "warmup" : "warmupDurationSecs", "works with ROUND_ROBIN and LEAST_REQUEST only")
      }
    }
    if let locality = settings.localityLbSetting { here.at("localityLbSetting") { check(locality, &$0) } }
  }

  private static func check(_ hash: Istio.ConsistentHashLB, _ here: inout FindingCollector) {
    switch hash.hashKey {
    case .httpHeaderName(let name):
      if !NameRules.isHeaderName(name) { here.error("httpHeaderName", "\"\(name)\" is not a header name") }
    case .httpCookie(let cookie):
      here.at("httpCookie") { inner in
        if cookie.name.isEmpty { inner.error("name", "must not be empty") }
        checkCookieText("name", cookie.name, &inner)
        checkCookieText("path", cookie.path, &inner)
        inner.checkDuration("ttl", cookie.ttl, .notNegative)
        inner.each("attributes", cookie.attributes) { item, attribute, _ in
          if attribute.name.isEmpty { item.error("name", "must not be empty") }
          checkCookieText("name", attribute.name, &item)
          checkCookieText("value", attribute.value, &item)
        }
      }
    case .httpQueryParameterName(let name):
      if name.isEmpty { here.error("httpQueryParameterName", "must not be empty") }
    case .useSourceIp: break
    case nil: here.error("one of httpHeaderName, httpCookie, useSourceIp and httpQueryParameterName must be set")
    }
    checkRingSize("minimumRingSize", hash.minimumRingSize, &here)
    if case .ringHash(let ring)? = hash.hashAlgorithm {
      here.at("ringHash") { checkRingSize("minimumRingSize", ring.minimumRingSize, &$0) }
    }
    if case .maglev(let maglev)? = hash.hashAlgorithm {
      let size = maglev.tableSize
      here.at("maglev") { inner in
        if size != 0, size >= 5_000_011 || !isPrime(size) {
          inner.error("tableSize", "\(size) is not allowed: it must be a prime below 5000011")
        }
      }
      if hash.minimumRingSize != 0 { here.error("minimumRingSize", "must not be set beside maglev") }
    }
  }

  /// *Source*: Envoy's bound of a ring, 8 Mi entries, which is also the default of its maximum.
  private static func checkRingSize(_ field: String, _ size: UInt64, _ here: inout FindingCollector) {
    if size > 8 << 20 { here.error(field, "\(size) is too large; a ring has at most \(8 << 20) entries") }
  }

  /// A part of a cookie that a proxy writes.
  private static func checkCookieText(_ field: String, _ text: String, _ here: inout FindingCollector) {
    here.at(field) { inner in
      inner.checkHeaderText(text)
      if text.utf8.contains(UInt8(ascii: ";")) { inner.error("must not contain \";\", which ends a part of a cookie") }
    }
  }

  private static func isPrime(_ number: UInt64) -> Bool {
    guard number >= 2 else { return false }
    var divisor: UInt64 = 2
    while divisor * divisor <= number {
      if number % divisor == 0 { return false }
      divisor += divisor == 2 ? 1 : 2
    }
    return true
  }

  // MARK: Localities

  private static func check(_ locality: Istio.LocalityLoadBalancerSetting, _ here: inout FindingCollector) {
    let used =
      (locality.distribute.isEmpty ? [] : ["distribute"]) + (locality.failover.isEmpty ? [] : ["failover"])
      + (locality.failoverPriority.isEmpty ? [] : ["failoverPriority"])
    if used.count > 1, used != ["failover", "failoverPriority"] {
      here.error("only one of \(used.joined(separator: ", ")) may be set")
    }
    var sources: [String] = []
    here.each("distribute", locality.distribute) { item, rule, _ in
      item.at("from") { checkLocality(rule.from, &$0) }
      if sources.contains(where: { localitiesOverlap($0, rule.from) }) {
        item.error("from", "\"\(rule.from)\" overlaps with an earlier rule")
      }
      sources.append(rule.from)
      var sum: UInt64 = 0
      var targets: [String] = []
      item.entries("to", rule.to) { entry, target, weight in
        checkLocality(target, &entry)
        if let other = targets.first(where: { localitiesOverlap($0, target) }) {
          entry.error("\"\(target)\" overlaps with \"\(other)\"")
        }
        targets.append(target)
        if weight < 1 || weight > 100 { entry.error("\(weight) is not a share; allowed are 1 to 100") }
        sum += UInt64(weight)
      }
      if sum != 100 { item.error("to", "the shares must add up to 100; they add up to \(sum)") }
    }
    here.each("failover", locality.failover) { item, rule, _ in
      for (field, region) in [("from", rule.from), ("to", rule.to)] {
        if region.contains("/") {
          item.error(field, "\"\(region)\" is not a region; failover is between regions")
        } else if region.contains("*") {
          item.error(field, "\"\(region)\" must not be a wildcard")
        }
      }
      if !rule.from.isEmpty, rule.from == rule.to { item.error("to", "must be another region than \"from\"") }
    }
    here.each("failoverPriority", locality.failoverPriority) { item, priority, _ in
      let key = priority.split(separator: "=", maxSplits: 1).first.map(String.init) ?? ""
      if !NameRules.isLabelKey(key) { item.error("\"\(priority)\" is neither a label nor label=value") }
    }
  }

  private static func checkLocality(_ text: String, _ here: inout FindingCollector) {
    if text.isEmpty {
      here.error("must not be empty")
      return
    }
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    if parts.count > 3 || parts.contains(where: \.isEmpty) {
      here.error("\"\(text)\" is not a locality; allowed is region/zone/subzone, each part may be left out at the end")
    }
    for (index, part) in parts.enumerated() where part.contains("*") {
      if part != "*" || index != parts.count - 1 {
        here.error("\"\(text)\": a wildcard must be the whole last part")
        return
      }
    }
  }

  private static func localitiesOverlap(_ a: String, _ b: String) -> Bool {
    let left = a.split(separator: "/")
    let right = b.split(separator: "/")
    for (one, other) in zip(left, right) {
      if one == "*" || other == "*" { return true }
      if one != other { return false }
    }
    return true
  }
}
