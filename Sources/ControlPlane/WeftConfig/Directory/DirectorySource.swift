import Glibc
import Synchronization
import WeftBase
package import WeftControlAPI
import WeftKinds

/// What a pass over a directory found and did.
package struct DirectoryReport: Sendable {
  package var files = 0
  package var objects = 0
  /// Objects that this pass created, changed or removed.
  package var changed = 0
  /// Everything wrong with the directory now, by file; each names its object as far as that can be read.
  package var problems: [Problem] = []
  /// Not all of the directory could be read, or it is over its limits; everything stays as it was.
  package var isUnreadable = false
  /// Files that somebody is writing just now, or that went a moment ago: what they said stands until the next look.
  package var waiting = 0
}

/// Mirrors a directory of YAML into the store: what a file says is so, and what no file says any more is not.
///
/// A bad object, or a file that is not YAML at all, leaves the last good state of what it named; everything else applies.
/// While a file that was never read cannot be read, nothing is removed, because what it holds is not known. Objects keep
/// their creation time and uid over restarts: the store remembers them.
package final class DirectorySource: Sendable {
  package let path: String
  package let source: String
  let store: StoreService
  private let reader: DocumentReader
  private let wall: @Sendable () -> WallTime
  let limits: DirectoryLimits
  private let shared = Mutex(State())
  private let passes = AsyncGate()

  private struct ParsedFile {
    var signature: FileSignature?
    var candidates: [Candidate]
    /// The text as a whole could not be read; nil for a file that can.
    var broken: [UInt8]?
    /// Objects the file named when it was last readable; nil when it never was.
    var lastKeys: Set<ObjectKey>?
  }

  private struct State {
    var files: [String: ParsedFile] = [:]
    var report = DirectoryReport()
    /// The store holds everything that the files, as they were read, ask for.
    var isSettled = false
    var passes: UInt64 = 0
    var failures: UInt64 = 0
    var attention = DirectoryAttention.byHand
    /// Since when known files are missing.
    var vanished: [String: ContinuousClock.Instant] = [:]
  }

  /// What a pass leaves for the next one.
  struct Hold: Sendable {
    /// Files that somebody writes, by real path.
    var unfinished: Set<String> = []
    /// How long a file must be gone to count as removed: editors rename files away before they write them anew.
    var grace: Duration = .zero
    /// A look a moment ago: what differs from it is still being written.
    var earlier: [String: FileSignature]?
  }

  package init(
    path: String, store: StoreService, reader: DocumentReader, limits: DirectoryLimits = DirectoryLimits(),
    wall: @escaping @Sendable () -> WallTime
  ) {
    self.path = path
    source = "directory:\(path)"
    self.store = store
    self.reader = reader
    self.limits = limits
    self.wall = wall
  }

  /// Whether a pass has been made since the start.
  var hasLooked: Bool { shared.withLock { $0.passes > 0 } }
  /// What the newest pass found.
  package var report: DirectoryReport { shared.withLock { $0.report } }
  /// How changes come to notice.
  package var attention: DirectoryAttention {
    get { shared.withLock { $0.attention } }
    set { shared.withLock { $0.attention = newValue } }
  }
  /// The store took everything; when not, a look later may find that it does.
  var isSettled: Bool { shared.withLock { $0.isSettled } }

  /// Whether a look shows anything that the newest pass did not see.
  func differs(from listing: DirectoryListing) -> Bool {
    shared.withLock { state in
      state.files.count != listing.files.count
        || !listing.files.allSatisfy { state.files[$0.key]?.signature == $0.value }
    }
  }

  /// One pass: reads what has changed and brings the store in line. *Errors*: the store failed.
  @discardableResult
  package func synchronize() async throws -> DirectoryReport { try await synchronize(Hold()) }

  func synchronize(_ hold: Hold) async throws -> DirectoryReport {
    do {
      return try await passes.exclusively { try await self.pass(hold) }
    } catch {
      shared.withLock { $0.failures += 1 }
      throw error
    }
  }

  private func pass(_ hold: Hold) async throws -> DirectoryReport {
    let found: [String: FileSignature]
    do throws(DirectoryError) {
      found = try DirectoryScan.listing(of: path, limits: limits).files
    } catch {
      let problem = Problem(.error, at: .root, error.description)
      return shared.withLock { state in
        state.passes += 1
        state.report.isUnreadable = true
        state.report.changed = 0
        state.report.problems = [problem]
        return state.report
      }
    }
    if let report = unchanged(found) { return report }
    let (files, waiting) = parse(found, hold)
    let plan = Plan(files)
    let source = self.source
    let context = WriteContext(source: source, actor: source, now: wall(), keepsCreationTime: true)
    let (results, removed) = try await store.perform { store in
      let results = try Admission.apply(plan.candidates, to: store, context)
      var removed = 0
      if plan.mayRemove {
        for object in try store.list().objects where object.source == source && !plan.keeps(object.key) {
          try store.delete(object.key, context)
          removed += 1
        }
      }
      return (results, removed)
    }
    let wasRefused = results.contains { $0.action == .refused }
    var report = DirectoryReport()
    report.files = files.count
    report.objects = results.count { $0.action != .refused }
    report.changed = removed + results.count { $0.action == .created || $0.action == .configured }
    report.problems = plan.problems + results.flatMap { result in result.problems.map { $0.of(result.key) } }
    report.waiting = waiting
    return shared.withLock { state in
      state.passes += 1
      state.files = files
      state.isSettled = !wasRefused
      state.report = report
      return report
    }
  }

  /// The report of the pass before, when there is nothing to do: no file differs, and the store refused nothing that it
  /// might take now (an object that another source has given up).
  private func unchanged(_ found: [String: FileSignature]) -> DirectoryReport? {
    shared.withLock { state in
      guard state.isSettled, !state.report.isUnreadable, state.files.count == found.count,
        found.allSatisfy({ state.files[$0.key]?.signature == $0.value })
      else { return nil }
      state.passes += 1
      state.vanished = [:]
      state.report.changed = 0
      state.report.waiting = 0
      return state.report
    }
  }

  /// Reads the files that are new or changed; the others stand as they were read before. *Returns* also how many wait.
  private func parse(
    _ found: [String: FileSignature], _ hold: Hold
  ) -> (files: [String: ParsedFile], waiting: Int) {
    let known = shared.withLock { $0.files }
    var files: [String: ParsedFile] = [:]
    var waiting = 0
    for (name, signature) in found {
      let old = known[name]
      if let old, old.signature == signature {
        files[name] = old
        continue
      }
      let full = "\(path)/\(name)"
      let isUnfinished =
        hold.unfinished.contains(DirectoryWatch.real(full)) || (hold.earlier.map { $0[name] != signature } ?? false)
      guard !isUnfinished, let read = read(full, expecting: signature, old) else {
        // What it said before stands; a new one says nothing yet.
        if let old { files[name] = old }
        waiting += 1
        continue
      }
      files[name] = read
    }
    let gone = known.keys.filter { found[$0] == nil }
    let stay = shared.withLock { state -> [String] in
      let now = ContinuousClock.now
      state.vanished = state.vanished.filter { found[$0.key] == nil }
      return gone.filter { name in
        let since = state.vanished[name] ?? now
        state.vanished[name] = since
        return now - since < hold.grace
      }
    }
    for name in stay { files[name] = known[name] }
    return (files, waiting + stay.count)
  }

  /// Nil when the file changes under the reader's eyes.
  private func read(_ full: String, expecting signature: FileSignature, _ old: ParsedFile?) -> ParsedFile? {
    let bytes: [UInt8]
    do throws(DirectoryError) {
      let read = try DirectoryScan.contents(of: full, limit: reader.limits.bytes)
      guard read.before == read.after, read.before == signature else { return nil }
      bytes = read.bytes
    } catch {
      if error.reason == .system(ENOENT) { return nil }
      let location = SourceLocation(file: full, line: 1, column: 1)
      let candidate = Candidate(problems: [Problem(.error, at: .root, error.description, location: location)])
      return ParsedFile(signature: signature, candidates: [candidate], broken: [], lastKeys: old?.lastKeys)
    }
    let candidates = reader.candidates(in: bytes, file: full)
    if candidates.count == 1, candidates[0].kind.isEmpty, candidates[0].envelope == nil {
      return ParsedFile(signature: signature, candidates: candidates, broken: bytes, lastKeys: old?.lastKeys)
    }
    var keys = Set(candidates.compactMap(Self.key))
    var broken: [UInt8]?
    if keys.count < candidates.count, candidates.contains(where: { Self.key($0) == nil }) {
      // An object without a readable name may be any of those the file had.
      broken = bytes
      keys.formUnion(old?.lastKeys ?? [])
    }
    return ParsedFile(
      signature: signature, candidates: candidates, broken: broken,
      lastKeys: broken != nil && old?.lastKeys == nil ? nil : keys)
  }

  /// What a candidate names, even when it is not valid.
  private static func key(_ candidate: Candidate) -> ObjectKey? {
    if let envelope = candidate.envelope { return envelope.key }
    guard !candidate.kind.isEmpty, !candidate.name.isEmpty else { return nil }
    return ObjectKey(kind: .init(rawValue: candidate.kind), namespace: candidate.namespace, name: candidate.name)
  }

  /// What the files together ask for.
  private struct Plan: Sendable {
    /// Valid objects, in the order of the files' names.
    var candidates: [Candidate] = []
    /// Everything a file names, valid or not, or named when it was last readable: it is not removed.
    private var named: Set<ObjectKey> = []
    /// Words of texts that cannot be read: what they mention may have moved there.
    private var mentioned: Set<String> = []
    var problems: [Problem] = []
    var mayRemove = true

    init(_ files: [String: ParsedFile]) {
      for (_, file) in files.sorted(by: { $0.key < $1.key }) {
        named.formUnion(file.lastKeys ?? [])
        if let text = file.broken {
          mentioned.formUnion(Self.words(text))
          if file.lastKeys == nil { mayRemove = false }
        }
        for candidate in file.candidates {
          if let key = DirectorySource.key(candidate) { named.insert(key) }
          if candidate.envelope == nil {
            problems += candidate.problems.map { $0.of(DirectorySource.key(candidate)) }
          } else {
            candidates.append(candidate)
          }
        }
      }
    }

    func keeps(_ key: ObjectKey) -> Bool {
      named.contains(key) || mentioned.contains(key.name)
    }

    /// What could be the name of an object, each once: one pass over the text, however many objects ask.
    private static func words(_ text: [UInt8]) -> Set<String> {
      func isPart(_ byte: UInt8) -> Bool {
        (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte) || byte == 0x2D || byte == 0x2E
      }
      return Set(text.split { !isPart($0) }.map { String(decoding: $0, as: UTF8.self) })
    }
  }

  /// Lines of Prometheus' text format.
  package var metrics: String {
    let (report, passes, failures) = shared.withLock { ($0.report, $0.passes, $0.failures) }
    let label = "{directory=\"\(path)\"}"
    let errors = report.problems.count { $0.severity == .error }
    return """
      weft_control_directory_files\(label) \(report.files)
      weft_control_directory_objects\(label) \(report.objects)
      weft_control_directory_errors\(label) \(errors)
      weft_control_directory_unreadable\(label) \(report.isUnreadable ? 1 : 0)
      weft_control_directory_passes_total\(label) \(passes)
      weft_control_directory_failures_total\(label) \(failures)
      weft_control_directory_polling\(label) \(attention.isPolling ? 1 : 0)

      """
  }
}

/// Lets one piece of work through at a time, in order.
private actor AsyncGate {
  private var tail: Task<Void, Never>?

  func exclusively<Result: Sendable>(_ body: @escaping @Sendable () async throws -> Result) async throws -> Result {
    let before = tail
    let work = Task {
      await before?.value
      return try await body()
    }
    tail = Task { _ = try? await work.value }
    return try await work.value
  }
}
