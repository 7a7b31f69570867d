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
  /// Everything wrong with the directory now, by file.
  package var problems: [Problem] = []
  /// The directory itself could not be read; everything stays as it was.
  package var isUnreadable = false
}

/// Mirrors a directory of YAML into the store: what a file says is so, and what no file says any more is not.
///
/// A bad object, or a file that is not YAML at all, leaves the last good state of what it named; the good ones beside it
/// apply. Nothing is removed while some file cannot be read, because what it holds is not known. Objects keep their
/// creation time and uid over restarts: the store remembers them.
package final class DirectorySource: Sendable {
  package let path: String
  package let source: String
  private let store: StoreService
  private let reader: DocumentReader
  private let wall: @Sendable () -> WallTime
  private let state = Mutex(State())
  private let passes = AsyncGate()

  private struct ParsedFile {
    var signature: FileSignature
    var candidates: [Candidate]
    /// The text as a whole could not be read.
    var isBroken: Bool
    /// Objects the file named when it was last readable.
    var lastKeys: Set<ObjectKey>
  }

  private struct State {
    var files: [String: ParsedFile] = [:]
    var report = DirectoryReport()
    /// The store holds everything that the files, as they were read, ask for.
    var isSettled = false
    var passes: UInt64 = 0
    var failures: UInt64 = 0
  }

  package init(
    path: String, store: StoreService, reader: DocumentReader, wall: @escaping @Sendable () -> WallTime
  ) {
    self.path = path
    source = "directory:\(path)"
    self.store = store
    self.reader = reader
    self.wall = wall
  }

  /// What the newest pass found.
  package var report: DirectoryReport { state.withLock { $0.report } }

  /// Looks every `interval` until the task is cancelled. *Parameter* `onChange`: told of every pass that changed
  /// something or found a new problem.
  package func run(
    every interval: Duration = .seconds(1),
    sleep: @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) },
    onChange: @Sendable (DirectoryReport) -> Void
  ) async {
    var told: [Problem]?
    while !Task.isCancelled {
      do {
        let report = try await synchronize()
        if report.changed > 0 || report.problems != told { onChange(report) }
        told = report.problems
      } catch {
        state.withLock { $0.failures += 1 }
        let problem = Problem(.error, at: .root, "\(error)", location: SourceLocation(file: path, line: 1, column: 1))
        if told != [problem] {
          var report = DirectoryReport()
          report.problems = [problem]
          onChange(report)
        }
        told = [problem]
      }
      do { try await sleep(interval) } catch { return }
    }
  }

  /// One pass: reads what has changed and brings the store in line. *Errors*: the store failed.
  @discardableResult
  package func synchronize() async throws -> DirectoryReport {
    try await passes.exclusively { try await self.pass() }
  }

  private func pass() async throws -> DirectoryReport {
    let found: [String: FileSignature]
    do throws(DirectoryError) {
      found = try DirectoryScan.files(under: path)
    } catch {
      let problem = Problem(.error, at: .root, error.description)
      return state.withLock { state in
        state.passes += 1
        state.report.isUnreadable = true
        state.report.changed = 0
        state.report.problems = [problem]
        return state.report
      }
    }
    if let report = unchanged(found) { return report }
    let files = parse(found)
    let plan = Plan(files)
    let source = self.source
    let context = WriteContext(source: source, actor: source, now: wall(), keepsCreationTime: true)
    let (results, removed) = try await store.perform { store in
      let results = try Admission.apply(plan.candidates, to: store, context)
      var removed = 0
      if plan.mayRemove {
        for object in try store.list().objects where object.source == source && !plan.named.contains(object.key) {
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
    report.problems = plan.problems + results.flatMap(\.problems)
    return state.withLock { state in
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
    state.withLock { state in
      guard state.isSettled, !state.report.isUnreadable, state.files.count == found.count,
        found.allSatisfy({ state.files[$0.key]?.signature == $0.value })
      else { return nil }
      state.passes += 1
      state.report.changed = 0
      return state.report
    }
  }

  /// Reads the files that are new or changed; the others stand as they were read before.
  private func parse(_ found: [String: FileSignature]) -> [String: ParsedFile] {
    let known = state.withLock { $0.files }
    var files: [String: ParsedFile] = [:]
    for (name, signature) in found {
      if let old = known[name], old.signature == signature {
        files[name] = old
        continue
      }
      let full = "\(path)/\(name)"
      var candidates: [Candidate]
      var isBroken: Bool
      do throws(DirectoryError) {
        let bytes = try DirectoryScan.contents(of: full, limit: reader.limits.bytes)
        candidates = reader.candidates(in: bytes, file: full)
        isBroken = candidates.count == 1 && candidates[0].kind.isEmpty && candidates[0].envelope == nil
      } catch {
        candidates = [Candidate(problems: [Problem(.error, at: .root, error.description)])]
        isBroken = true
      }
      let keys = isBroken ? known[name]?.lastKeys ?? [] : Set(candidates.compactMap(Self.key))
      files[name] = ParsedFile(signature: signature, candidates: candidates, isBroken: isBroken, lastKeys: keys)
    }
    return files
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
    /// Everything a file names, valid or not: it is not removed.
    var named: Set<ObjectKey> = []
    var problems: [Problem] = []
    var mayRemove = true

    init(_ files: [String: ParsedFile]) {
      for (_, file) in files.sorted(by: { $0.key < $1.key }) {
        named.formUnion(file.lastKeys)
        if file.isBroken { mayRemove = false }
        for candidate in file.candidates {
          if candidate.envelope == nil {
            problems += candidate.problems
            // An object without a readable name may be any of those we have.
            if DirectorySource.key(candidate) == nil { mayRemove = false }
          } else {
            candidates.append(candidate)
          }
        }
      }
    }
  }

  /// Lines of Prometheus' text format.
  package var metrics: String {
    let (report, passes, failures) = state.withLock { ($0.report, $0.passes, $0.failures) }
    let label = "{directory=\"\(path)\"}"
    let errors = report.problems.count { $0.severity == .error }
    return """
      weft_control_directory_files\(label) \(report.files)
      weft_control_directory_objects\(label) \(report.objects)
      weft_control_directory_errors\(label) \(errors)
      weft_control_directory_passes_total\(label) \(passes)
      weft_control_directory_failures_total\(label) \(failures)

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
