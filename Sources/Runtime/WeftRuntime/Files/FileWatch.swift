// FileWatch: notices of the kernel about directories, on a loop.

import CLinux
import Glibc
package import WeftBase

/// Says that something in one of a set of directories was moved, closed after writing, made or removed: that a look is worth it.
///
/// *Threads*: its loop's. *Cost*: one inotify descriptor, one watch per directory.
package final class FileWatch {
  private let descriptor: Int32
  private weak var loop: EventLoop?
  private var watches: [String: Int32] = [:]

  /// *Errors*: no inotify descriptor left (`max_user_instances`); a driver without descriptors.
  package init(_ loop: EventLoop, changed: @escaping () -> Void) throws(WeftError) {
    let descriptor = weft_inotify_create()
    guard descriptor >= 0 else { throw .system("inotify", -descriptor) }
    self.descriptor = descriptor
    self.loop = loop
    do throws(WeftError) {
      try loop.watch(descriptor, .readable) { [weak self] _ in if self?.read() ?? false { changed() } }
    } catch {
      _ = close(descriptor)
      throw error
    }
  }

  deinit {
    loop?.unwatch(descriptor)
    _ = close(descriptor)
  }

  /// Watches exactly these directories. *Returns*: those that cannot be watched now, because they do not exist or the system's number of
  /// watches is reached: ask again later.
  @discardableResult
  package func follow(_ directories: Set<String>) -> Set<String> {
    for (path, watch) in watches where !directories.contains(path) {
      watches[path] = nil
      if !watches.values.contains(watch) { _ = weft_inotify_unwatch(descriptor, watch) }
    }
    var missing: Set<String> = []
    for path in directories.sorted() where watches[path] == nil {
      let watch = unsafe weft_inotify_watch_directory(descriptor, path)
      if watch >= 0 { watches[path] = watch } else { missing.insert(path) }
    }
    return missing
  }

  /// *Returns*: whether a look is worth it.
  private func read() -> Bool {
    let worth = [
      WEFT_NOTICE_CREATED, WEFT_NOTICE_REMOVED, WEFT_NOTICE_RENAMED_HERE, WEFT_NOTICE_CLOSED, WEFT_NOTICE_GONE,
      WEFT_NOTICE_ENDED, WEFT_NOTICE_OVERFLOW,
    ].reduce(0 as UInt32) { $0 | UInt32($1) }
    var block = [UInt8](repeating: 0, count: 1 << 14)
    var matters = false
    while true {
      let count = unsafe block.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return matters }
      var offset = 0
      while offset < count {
        var notice = weft_notice()
        // Why sound: the shim reads within `count` bytes of the block only, and says where the next event begins.
        let next = unsafe block.withUnsafeBytes { raw in
          unsafe weft_inotify_next(raw.baseAddress, count, offset, &notice)
        }
        guard next > 0 else { break }
        // What is told of a directory that is not watched any more, the end of its watch above all, concerns nobody.
        let isOverflow = notice.bits & UInt32(WEFT_NOTICE_OVERFLOW) != 0
        if isOverflow || (notice.bits & worth != 0 && watches.values.contains(notice.watch)) { matters = true }
        if notice.bits & UInt32(WEFT_NOTICE_ENDED) != 0 { watches = watches.filter { $0.value != notice.watch } }
        offset = Int(next)
      }
    }
  }
}
