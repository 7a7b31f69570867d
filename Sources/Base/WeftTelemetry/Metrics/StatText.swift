/// The forms in which statistics are read.
extension StatSnapshot {
  /// `name: value`, one per line, histograms as quantiles.
  package func text(usedOnly: Bool = false, matching: (String) -> Bool = { _ in true }) -> String {
    var out = ""
    for entry in entries where (!usedOnly || entry.used) && matching(entry.name) {
      out += entry.name
      out += ": "
      switch entry.value {
      case .counter(let n): out += String(n)
      case .gauge(let n): out += String(n)
      case .histogram(let reading): out += Self.quantileLine(reading)
      case .text(let text): out += JSONEscape.quoted(text)
      }
      out += "\n"
    }
    return out
  }

  static let quantiles: [(label: String, share: Double)] = [
    ("P0", 0), ("P25", 0.25), ("P50", 0.5), ("P75", 0.75), ("P90", 0.9), ("P95", 0.95), ("P99", 0.99), ("P99.5", 0.995),
    ("P99.9", 0.999), ("P100", 1),
  ]

  static func quantileLine(_ reading: HistogramReading) -> String {
    guard reading.count > 0 else { return "No recorded values" }
    return quantiles.map { label, share in
      "\(label)(\(number(reading.quantile(share) ?? 0)),\(number(reading.quantile(share) ?? 0)))"
    }.joined(separator: " ")
  }

  /// `{"stats":[{"name":…,"value":…}, …, {"histograms":{…}}]}`.
  package func json(usedOnly: Bool = false, matching: (String) -> Bool = { _ in true }) -> String {
    var items: [String] = []
    var histograms: [String] = []
    for entry in entries where (!usedOnly || entry.used) && matching(entry.name) {
      let name = JSONEscape.quoted(entry.name)
      switch entry.value {
      case .counter(let n): items.append("{\"name\":\(name),\"value\":\(n)}")
      case .gauge(let n): items.append("{\"name\":\(name),\"value\":\(n)}")
      case .text(let text): items.append("{\"name\":\(name),\"value\":\(JSONEscape.quoted(text))}")
      case .histogram(let reading):
        let values = Self.quantiles.map { _, share in
          let value = reading.quantile(share).map(Self.number) ?? "null"
          return "{\"interval\":null,\"cumulative\":\(value)}"
        }
        histograms.append("{\"name\":\(name),\"values\":[\(values.joined(separator: ","))]}")
      }
    }
    if !histograms.isEmpty {
      let supported = Self.quantiles.map { Self.number($0.share * 100) }.joined(separator: ",")
      items.append(
        "{\"histograms\":{\"supported_quantiles\":[\(supported)],\"computed_quantiles\":[\(histograms.joined(separator: ","))]}}"
      )
    }
    return "{\"stats\":[\(items.joined(separator: ","))]}"
  }

  /// Prometheus text exposition, one family after the other.
  package func prometheus(usedOnly: Bool = false, matching: (String) -> Bool = { _ in true }) -> String {
    var families: [String: [Entry]] = [:]
    var order: [String] = []
    for entry in entries where (!usedOnly || entry.used) && matching(entry.name) {
      if case .text = entry.value { continue }
      if families[entry.family] == nil { order.append(entry.family) }
      families[entry.family, default: []].append(entry)
    }
    var out = ""
    for family in order.sorted() {
      guard let series = families[family], let first = series.first else { continue }
      let kind =
        switch first.value {
        case .counter: "counter"
        case .gauge: "gauge"
        case .histogram: "histogram"
        case .text: "untyped"
        }
      out += "# HELP \(family) \(first.help)\n# TYPE \(family) \(kind)\n"
      for entry in series {
        switch entry.value {
        case .counter(let n): out += "\(family)\(Self.labels(entry.labels)) \(n)\n"
        case .gauge(let n): out += "\(family)\(Self.labels(entry.labels)) \(n)\n"
        case .histogram(let reading):
          var total: UInt64 = 0
          for (i, n) in reading.buckets.enumerated() {
            total &+= n
            let bound = i < HistogramBuckets.bounds.count ? Self.number(HistogramBuckets.bounds[i]) : "+Inf"
            out += "\(family)_bucket\(Self.labels(entry.labels + [("le", bound)])) \(total)\n"
          }
          out += "\(family)_sum\(Self.labels(entry.labels)) \(reading.sum)\n"
          out += "\(family)_count\(Self.labels(entry.labels)) \(total)\n"
        case .text: break
        }
      }
    }
    return out
  }

  static func labels(_ labels: [(name: String, value: String)]) -> String {
    guard !labels.isEmpty else { return "{}" }
    let inner = labels.map { "\($0.name)=\"\(escapedLabel($0.value))\"" }.joined(separator: ",")
    return "{\(inner)}"
  }

  static func escapedLabel(_ value: String) -> String {
    var out = ""
    for c in value.unicodeScalars {
      switch c {
      case "\\": out += "\\\\"
      case "\"": out += "\\\""
      case "\n": out += "\\n"
      default: out.unicodeScalars.append(c)
      }
    }
    return out
  }

  /// A number without a trailing `.0`.
  static func number(_ value: Double) -> String {
    if value == value.rounded(), abs(value) < 1e15 { return String(Int64(value)) }
    return "\((value * 1000).rounded() / 1000)"
  }
}
