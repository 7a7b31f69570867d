import WeftBase
import WeftKinds

/// How changes of a directory come to notice.
package enum DirectoryAttention: Sendable, Equatable {
  /// Nobody follows; passes are asked for.
  case byHand
  /// The kernel tells.
  case notified
  /// Looked at in intervals, because the kernel cannot tell.
  case polling(reason: String)

  package var isPolling: Bool { if case .polling = self { true } else { false } }

  /// As the API shows it.
  package var text: String {
    switch self {
    case .byHand: "manual"
    case .notified: "inotify"
    case .polling: "polling"
    }
  }
}

/// The times of a follower.
package struct DirectoryTimes: Sendable {
  /// Between two looks when the kernel cannot tell.
  package var poll: Duration = .seconds(1)
  /// Quiet that must follow a notice: a change often comes as several.
  package var quiet: Duration = .milliseconds(10)
  /// The longest that notices may put a look off.
  package var patience: Duration = .milliseconds(50)
  /// How long a file must be gone to count as removed.
  package var grace: Duration = .milliseconds(50)
  /// How long a silent writer who does not close his file holds it back.
  package var writer: Duration = .seconds(1)
  /// A look without a notice: network file systems do not tell of others' changes.
  package var anyway: Duration = .seconds(30)
  /// Between attempts to have the kernel tell after all.
  package var again: Duration = .seconds(60)

  package init() {}
}

extension DirectorySource {
  /// Keeps the store in line with the directory until the task is cancelled.
  ///
  /// The kernel's notices start a look; where they cannot be had (a limit is reached, an old file system) the directory
  /// is looked at in intervals, and notices are tried again from time to time.
  /// *Parameters* `onChange`: told of every pass that changed something or found a new problem; `onAttention`: told how
  /// changes come to notice, at the start and whenever that changes.
  package func follow(
    _ times: DirectoryTimes = DirectoryTimes(), onAttention: @Sendable (DirectoryAttention) -> Void = { _ in },
    onChange: @escaping @Sendable (DirectoryReport) -> Void
  ) async {
    await follow(
      times, makeWatch: { () throws(DirectoryError) in try DirectoryWatch() }, onAttention: onAttention,
      onChange: onChange)
  }

  func follow(
    _ times: DirectoryTimes, makeWatch: @Sendable () throws(DirectoryError) -> DirectoryWatch,
    onAttention: @Sendable (DirectoryAttention) -> Void,
    onChange: @escaping @Sendable (DirectoryReport) -> Void
  ) async {
    var teller = Teller(onChange: onChange)
    while !Task.isCancelled {
      let reason: String
      do throws(DirectoryError) {
        let watch = try makeWatch()
        _ = try watch.follow(listing().places)
        tell(.notified, onAttention)
        try await follow(watch, times, &teller)
        return
      } catch {
        reason = error.description
      }
      tell(.polling(reason: reason), onAttention)
      await poll(times, for: times.again, &teller)
    }
  }

  private func tell(_ attention: DirectoryAttention, _ onAttention: @Sendable (DirectoryAttention) -> Void) {
    guard self.attention != attention else { return }
    self.attention = attention
    onAttention(attention)
  }

  // MARK: With notices

  /// *Errors*: the kernel will not watch any more; everything up to here has been seen.
  private func follow(
    _ watch: DirectoryWatch, _ times: DirectoryTimes, _ teller: inout Teller
  ) async throws(DirectoryError) {
    var signals = watch.signals.makeAsyncIterator()
    watch.wake(after: .zero)
    let reminder = Self.remind(watch, every: times.anyway)
    defer { reminder.cancel() }
    while await signals.next() != nil, !Task.isCancelled {
      await quiet(watch, times)
      // A new place may have changed before it was watched: look until there is none.
      var looks = 0
      while try watch.follow(listing().places), looks < limits.depth { looks += 1 }
      let hold = Hold(unfinished: watch.unfinished(patience: times.writer), grace: times.grace)
      let report = await teller.pass(self, hold)
      if (report?.waiting ?? 0) > 0 { watch.wake(after: times.grace) }
      // What the store refused may be free later; what cannot be read, or failed, may be well later.
      if !isSettled || report == nil || report?.isUnreadable == true { watch.wake(after: times.poll) }
    }
  }

  private static func remind(_ watch: DirectoryWatch, every interval: Duration) -> Task<Void, Never> {
    Task {
      while true {
        do { try await Task.sleep(for: interval) } catch { return }
        watch.wake(after: .zero)
      }
    }
  }

  /// Returns when no notice has come for a moment, or patience is at its end.
  private func quiet(_ watch: DirectoryWatch, _ times: DirectoryTimes) async {
    let end = ContinuousClock.now + times.patience
    var seen = watch.notices
    while ContinuousClock.now < end {
      do { try await Task.sleep(for: times.quiet) } catch { return }
      let now = watch.notices
      if now == seen { return }
      seen = now
    }
  }

  /// An unreadable directory has places, too: where it would come back.
  private func listing() -> DirectoryListing {
    do throws(DirectoryError) {
      return try DirectoryScan.listing(of: path, limits: limits)
    } catch {
      var listing = DirectoryListing()
      listing.places.addLinks(of: path, isRoot: true)
      return listing
    }
  }

  // MARK: Without

  /// Looks every `times.poll`. *Parameters* `total`: returns after that; `sleep`: for tests.
  func poll(
    _ times: DirectoryTimes, for total: Duration = .seconds(Int64.max),
    sleep: @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) },
    _ teller: inout Teller
  ) async {
    var left = total
    while !Task.isCancelled, left > .zero {
      var hold = Hold()
      let earlier = listing()
      if differs(from: earlier) {
        // Two looks that agree: nobody is writing it.
        do { try await sleep(times.patience) } catch { return }
        hold.earlier = earlier.files
      }
      _ = await teller.pass(self, hold)
      do { try await sleep(times.poll) } catch { return }
      left -= times.poll
    }
  }

  /// Tells of what is new in a row of passes.
  struct Teller {
    let onChange: @Sendable (DirectoryReport) -> Void
    private var told: [Problem]?

    init(onChange: @escaping @Sendable (DirectoryReport) -> Void) { self.onChange = onChange }

    /// Nil when the store failed.
    mutating func pass(_ source: DirectorySource, _ hold: Hold) async -> DirectoryReport? {
      let report: DirectoryReport
      let outcome: DirectoryReport?
      do {
        report = try await source.synchronize(hold)
        outcome = report
      } catch {
        let place = SourceLocation(file: source.path, line: 1, column: 1)
        var failed = DirectoryReport()
        failed.problems = [Problem(.error, at: .root, "\(error)", location: place)]
        report = failed
        outcome = nil
      }
      if report.changed > 0 || report.problems != told { onChange(report) }
      told = report.problems
      return outcome
    }
  }
}
