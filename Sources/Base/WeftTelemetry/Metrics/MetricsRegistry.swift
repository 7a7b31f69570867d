import CAtomics
import Glibc
import Synchronization

/// Names a scope of statistics: which cluster, which listener, …
package struct ScopeKey: Hashable, Sendable {
  package var kind: ScopeKind
  /// The cluster, stat prefix or listener address as configured, before any character is replaced.
  package var name: String
  /// The stat prefix of `listenerHTTP`, the route configuration of `rds`.
  package var secondName: String

  package init(_ kind: ScopeKind, _ name: String = "", _ secondName: String = "") {
    self.kind = kind
    self.name = name
    self.secondName = secondName
  }
}

/// The number of a scope in its registry. Stays the same for as long as anybody has a lease of it, and without any for as long as the process
/// lives.
package struct ScopeID: BitwiseCopyable, Hashable, Sendable {
  package let rawValue: UInt32
  package init(rawValue: UInt32) { self.rawValue = rawValue }
}

/// All statistics of a process.
///
/// *Shape*: a page per worker and one for everybody else. A page is a two-level table from scope number to a block of
/// cells, which is
/// allocated when its worker first counts there, so that a cluster without traffic costs two pointers.
/// A scope of something that may go is leased (`lease`): with the last lease it is gone from every page, and its number and blocks serve the next
/// one. Blocks are never given back, so whoever still writes to one that is not his any more miscounts and harms nobody.
/// *Errors*: past `scopeLimit` scopes, new ones share one overflow scope per kind.
@safe
// Tables are published with release stores; scopes sit behind the lock.
package final class MetricsRegistry: @unchecked Sendable {
  package static let scopeLimit = 1 << 18
  static let chunkSize = 256

  package typealias Block = UnsafeMutablePointer<UInt64>
  private typealias Chunk = UnsafeMutablePointer<UnsafeMutableRawPointer?>

  struct Scopes {
    var numbers: [ScopeKey: ScopeID] = [:]
    var keys: [ScopeKey] = []
    /// Scopes that were asked for past the limit, each time they were.
    var overflows: UInt64 = 0
    /// What extensions count, by their scopes.
    var types: [ScopeID: any Metric.Type] = [:]
    var sources: [any MetricSource] = []
    var texts: [ScopeKey: [TextReadout: String]] = [:]
    /// How many leases there are of those that have any.
    var leases: [ScopeID: Int] = [:]
    /// Numbers that stand for nothing now; their keys are old.
    var free: [ScopeID] = []
    /// Blocks that nobody counts in, by their number of cells. Addresses, so that the whole can be copied out.
    var spares: [Int: [UInt]] = [:]
  }

  package let workers: Int
  private let pages: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  private let scopes: Mutex<Scopes>

  package init(workers: Int) {
    precondition(workers >= 0)
    self.workers = workers
    let chunks = Self.scopeLimit / Self.chunkSize
    unsafe pages = .allocate(capacity: (workers + 1) * chunks)
    unsafe pages.initialize(repeating: nil, count: (workers + 1) * chunks)
    scopes = Mutex(Scopes())
  }

  deinit {
    let chunks = Self.scopeLimit / Self.chunkSize
    for i in 0..<(workers + 1) * chunks {
      guard let raw = unsafe pages[i] else { continue }
      let chunk = unsafe raw.assumingMemoryBound(to: UnsafeMutableRawPointer?.self)
      for j in 0..<Self.chunkSize {
        if let block = unsafe chunk[j] { unsafe free(Self.base(of: block.assumingMemoryBound(to: UInt64.self))) }
      }
      unsafe chunk.deallocate()
    }
    unsafe pages.deallocate()
    for address in scopes.withLock({ $0.spares.values.flatMap { $0 } }) {
      if let block = unsafe Block(bitPattern: address) { unsafe free(Self.base(of: block)) }
    }
  }

  /// Where a block was allocated: the cell in front of it holds their number.
  private static func base(of block: Block) -> Block { unsafe block - 1 }

  /// The number of a scope, made when it is first asked for. *Cost*: a lock and a dictionary; do it when configuration
  /// is compiled.
  package func scope(_ key: ScopeKey) -> ScopeID {
    scopes.withLock { number(key, &$0) }
  }

  private func number(_ key: ScopeKey, _ scopes: inout Scopes) -> ScopeID {
    if let known = scopes.numbers[key] { return known }
    if let id = scopes.free.popLast() {
      scopes.keys[Int(id.rawValue)] = key
      scopes.numbers[key] = id
      return id
    }
    var key = key
    if scopes.keys.count >= Self.scopeLimit - ScopeKind.allCases.count {
      scopes.overflows += 1
      key = ScopeKey(key.kind, "overflow", key.secondName.isEmpty ? "" : "overflow")
      if let known = scopes.numbers[key] { return known }
    }
    let id = ScopeID(rawValue: UInt32(scopes.keys.count))
    scopes.keys.append(key)
    scopes.numbers[key] = id
    if Int(id.rawValue) % Self.chunkSize == 0 { addChunk(Int(id.rawValue) / Self.chunkSize) }
    return id
  }

  /// A scope that is there as long as the lease is, or another one of the same key. Whoever counts there keeps it until no worker writes any more,
  /// as it keeps the configuration that names the scope. *Cost*: as `scope`.
  package func lease(_ key: ScopeKey) -> ScopeLease {
    let id = scopes.withLock { scopes in
      let id = number(key, &scopes)
      scopes.leases[id, default: 0] += 1
      return id
    }
    return ScopeLease(id, of: self)
  }

  /// Likewise of an extension's scope.
  package func lease<M: Metric>(_ key: ScopeKey, of metric: M.Type) -> ScopeLease {
    let lease = lease(key)
    scopes.withLock { $0.types[lease.scope] = metric }
    return lease
  }

  /// One lease less. The scope goes with the last.
  fileprivate func ended(_ scope: ScopeID) {
    scopes.withLock { scopes in
      guard let count = scopes.leases[scope] else { return }
      guard count == 1 else {
        scopes.leases[scope] = count - 1
        return
      }
      scopes.leases[scope] = nil
      let key = scopes.keys[Int(scope.rawValue)]
      scopes.numbers[key] = nil
      scopes.texts[key] = nil
      scopes.types[scope] = nil
      for page in 0...workers {
        let entry = unsafe entry(scope, page: page)
        guard let raw = unsafe weft_load_pointer(entry) else { continue }
        unsafe weft_publish_pointer(entry, nil)
        let block = unsafe raw.assumingMemoryBound(to: UInt64.self)
        unsafe scopes.spares[Int(Self.base(of: block).pointee), default: []].append(UInt(bitPattern: block))
      }
      scopes.free.append(scope)
    }
  }

  /// Scopes that stand for something, and blocks that wait for a use.
  package var occupancy: (scopes: Int, spareBlocks: Int) {
    scopes.withLock { ($0.numbers.count, $0.spares.values.reduce(0) { $0 + $1.count }) }
  }

  /// How often a scope was asked for that had to share the overflow scope of its kind.
  package var overflows: UInt64 { scopes.withLock { $0.overflows } }

  /// The number of an extension's scope, whose numbers are `metric`'s.
  package func scope<M: Metric>(_ key: ScopeKey, of metric: M.Type) -> ScopeID {
    let id = scope(key)
    scopes.withLock { $0.types[id] = metric }
    return id
  }

  private func addChunk(_ number: Int) {
    let chunks = Self.scopeLimit / Self.chunkSize
    for page in 0...workers {
      let chunk = Chunk.allocate(capacity: Self.chunkSize)
      unsafe chunk.initialize(repeating: nil, count: Self.chunkSize)
      unsafe weft_publish_pointer(pages + page * chunks + number, chunk)
    }
  }

  private func entry(_ scope: ScopeID, page: Int) -> UnsafeMutablePointer<UnsafeMutableRawPointer?> {
    precondition(page >= 0 && page <= workers && scope.rawValue < UInt32(Self.scopeLimit))
    let chunks = Self.scopeLimit / Self.chunkSize
    let number = Int(scope.rawValue)
    guard let raw = unsafe weft_load_pointer(pages + page * chunks + number / Self.chunkSize) else {
      preconditionFailure("scope of another registry")
    }
    return unsafe raw.assumingMemoryBound(to: UnsafeMutableRawPointer?.self) + number % Self.chunkSize
  }

  /// The block of `scope` that `worker` writes. Call it on that worker's thread and keep the result. *Cost*: two loads;
  /// allocates once.
  package func block<M: Metric>(_ metric: M.Type, _ scope: ScopeID, worker: Int) -> StatBlock<M> {
    precondition(worker < workers, "the cold page is written through the registry")
    if let cells = unsafe known(scope, page: worker, count: M.cellCount) { return unsafe StatBlock(cells: cells) }
    return scopes.withLock { unsafe StatBlock(cells: cells(scope, page: worker, count: M.cellCount, &$0)) }
  }

  /// The gauges of `scope` that belong to no worker: to be `set` by whoever knows the newest value, never added to.
  package func sharedGauges<M: Metric>(_ metric: M.Type, _ scope: ScopeID) -> StatBlock<M> {
    scopes.withLock { unsafe StatBlock(cells: cells(scope, page: workers, count: M.cellCount, &$0)) }
  }

  /// The block of a scope, where there is one; one of another size was left by somebody who came too late to a scope that is gone.
  private func known(_ scope: ScopeID, page: Int, count: Int) -> Block? {
    guard let raw = unsafe weft_load_pointer(entry(scope, page: page)) else { return nil }
    let block = unsafe raw.assumingMemoryBound(to: UInt64.self)
    return unsafe Self.base(of: block).pointee == UInt64(count) ? block : nil
  }

  private func cells(_ scope: ScopeID, page: Int, count: Int, _ scopes: inout Scopes) -> Block {
    if let known = unsafe known(scope, page: page, count: count) { return unsafe known }
    let block: Block
    if let spare = unsafe scopes.spares[count]?.popLast().flatMap({ unsafe Block(bitPattern: $0) }) {
      unsafe block = spare
      for i in 0..<count { unsafe weft_store(block + i, 0) }
    } else {
      guard let raw = unsafe calloc(count + 1, MemoryLayout<UInt64>.size) else {
        fatalError("out of memory for statistics")
      }
      let base = unsafe raw.assumingMemoryBound(to: UInt64.self)
      unsafe base.pointee = UInt64(count)
      unsafe block = base + 1
    }
    unsafe weft_publish_pointer(entry(scope, page: page), block)
    return unsafe block
  }

  /// Adds from a thread that is no worker. *Cost*: a lock; cold path only.
  package func add<M: Metric>(_ metric: M, _ scope: ScopeID, _ amount: UInt64 = 1) {
    scopes.withLock {
      unsafe weft_bump(cells(scope, page: workers, count: M.cellCount, &$0) + metric.rawValue, amount)
    }
  }

  /// Sets a gauge that only cold threads write.
  package func set<M: Metric>(_ metric: M, _ scope: ScopeID, _ value: UInt64) {
    scopes.withLock {
      unsafe weft_store(cells(scope, page: workers, count: M.cellCount, &$0) + metric.rawValue, value)
    }
  }

  /// Adds to a histogram from a thread that is no worker. *Units*: milliseconds.
  package func record<M: Metric>(_ metric: M, _ scope: ScopeID, _ milliseconds: UInt64) {
    scopes.withLock {
      let first = unsafe cells(scope, page: workers, count: M.cellCount, &$0) + metric.cell
      unsafe weft_bump(first + HistogramBuckets.index(milliseconds), 1)
      unsafe weft_bump(first + HistogramBuckets.sumCell, milliseconds)
    }
  }

  /// The sum of a number over all workers. Gauges come out as their two's complement.
  package func value<M: Metric>(_ metric: M, _ scope: ScopeID) -> UInt64 { sum(scope, cell: metric.cell) }

  func sum(_ scope: ScopeID, cell: Int) -> UInt64 {
    var total: UInt64 = 0
    for page in 0...workers {
      guard let raw = unsafe weft_load_pointer(entry(scope, page: page)) else { continue }
      total &+= unsafe weft_load(raw.assumingMemoryBound(to: UInt64.self) + cell)
    }
    return total
  }

  /// Whether anyone has counted in the scope.
  func isTouched(_ scope: ScopeID) -> Bool {
    for page in 0...workers where unsafe weft_load_pointer(entry(scope, page: page)) != nil { return true }
    return false
  }

  /// Adds families that are kept elsewhere, such as `istio_requests_total`.
  package func addSource(_ source: any MetricSource) { scopes.withLock { $0.sources.append(source) } }

  /// Sets a text. Cold path only.
  package func set(_ readout: TextReadout, _ key: ScopeKey, _ text: String) {
    scopes.withLock { $0.texts[key, default: [:]][readout] = text }
  }

  /// A text as it was last set.
  package func text(_ readout: TextReadout, _ key: ScopeKey) -> String? {
    scopes.withLock { $0.texts[key]?[readout] }
  }

  func contents() -> Scopes { scopes.withLock { $0 } }
}

/// Keeps a scope; without the last one of its key the scope is gone.
package final class ScopeLease: Sendable {
  package let scope: ScopeID
  private let registry: MetricsRegistry

  fileprivate init(_ scope: ScopeID, of registry: MetricsRegistry) {
    self.scope = scope
    self.registry = registry
  }

  deinit { registry.ended(scope) }
}

extension Metric {
  /// Cells of a block of this kind.
  package static var cellCount: Int { statusCell + (statusPrefix == nil ? 0 : CountedStatus.codes.count) }
}

/// A metric family kept outside the registry's blocks.
package struct MetricFamily: Sendable {
  package struct Series: Sendable {
    package var labels: [(name: String, value: String)]
    package var value: Reading
    package init(labels: [(name: String, value: String)], value: Reading) {
      self.labels = labels
      self.value = value
    }
  }
  package enum Reading: Sendable {
    case counter(UInt64)
    case gauge(Int64)
    case histogram(HistogramReading)
    /// For people; Prometheus does not see it.
    case text(String)
  }
  /// Full name in Prometheus, no prefix is put before it.
  package var name: String
  package var help: String
  package var series: [Series]
  package init(name: String, help: String, series: [Series]) {
    self.name = name
    self.help = help
    self.series = series
  }
}

/// Whoever keeps metrics of its own shape and gives them away when they are read.
package protocol MetricSource: Sendable {
  func families() -> [MetricFamily]
}

/// A histogram at one moment.
package struct HistogramReading: Sendable {
  /// Observations per bucket of `HistogramBuckets.bounds`, then those above.
  package var buckets: [UInt64]
  package var sum: UInt64
  package init(buckets: [UInt64], sum: UInt64) {
    self.buckets = buckets
    self.sum = sum
  }
  package var count: UInt64 { buckets.reduce(0, &+) }

  /// An estimate of the value below which `share` (0…1) of the observations lie; `nil` without any.
  package func quantile(_ share: Double) -> Double? {
    let total = count
    guard total > 0 else { return nil }
    let target = share * Double(total)
    var seen = 0.0
    for (i, n) in buckets.enumerated() where n > 0 {
      let low = i == 0 ? 0 : HistogramBuckets.bounds[i - 1]
      guard i < HistogramBuckets.bounds.count else { return low }
      if seen + Double(n) >= target {
        return low + (HistogramBuckets.bounds[i] - low) * max(0, target - seen) / Double(n)
      }
      seen += Double(n)
    }
    return HistogramBuckets.bounds.last
  }
}
