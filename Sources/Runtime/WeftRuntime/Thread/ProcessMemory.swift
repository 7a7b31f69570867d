// Memory of the process as a whole.

import CLinux
import Glibc

/// What a program gives back to the kernel.
package enum ProcessMemory {
  /// Gives free memory of the heap back to the system. *Cost*: walks the free lists of all arenas; not for a worker.
  package static func trim() { _ = malloc_trim(0) }

  /// Bytes the heap has lent out, and bytes of the process that are resident.
  package static func usage() -> (allocated: UInt64, resident: UInt64) {
    let heap = mallinfo2()
    var resident: UInt64 = 0
    if let file = unsafe fopen("/proc/self/statm", "r") {
      defer { unsafe fclose(file) }
      var line = [CChar](repeating: 0, count: 128)
      if unsafe line.withUnsafeMutableBufferPointer({ unsafe fgets($0.baseAddress!, Int32($0.count), file) }) != nil {
        let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let fields = text.split(separator: " ")
        if fields.count > 1, let pages = UInt64(fields[1]) { resident = pages * UInt64(sysconf(Int32(_SC_PAGESIZE))) }
      }
    }
    return (UInt64(heap.uordblks) + UInt64(heap.hblkhd), resident)
  }

  /// Unmaps the pages of code that starting up has touched; what is still needed comes back from the page cache at its next use.
  ///
  /// A program that reads YAML, converts messages and compiles tables when it starts, and then serves with a small part of its code, would
  /// otherwise keep all of it in its resident set. Free heap pages go back, too. *Returns*: bytes of code unmapped.
  /// *Cost*: some hundred page faults over the next requests; call it once, when start-up is done.
  ///
  /// Why sound: only private, never writable mappings of files are dropped (`r-xp`); their pages equal the file's.
  @discardableResult
  package static func releaseStartUpPages() -> Int {
    trim()
    guard let file = unsafe fopen("/proc/self/maps", "r") else { return 0 }
    defer { unsafe fclose(file) }
    var released = 0
    var line = [CChar](repeating: 0, count: 4096)
    while unsafe line.withUnsafeMutableBufferPointer({ unsafe fgets($0.baseAddress!, Int32($0.count), file) }) != nil {
      let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      let fields = text.split(separator: " ", omittingEmptySubsequences: true)
      guard fields.count >= 6, fields[1] == "r-xp", fields[5].hasPrefix("/") else { continue }
      let ends = fields[0].split(separator: "-")
      guard ends.count == 2, let low = UInt(ends[0], radix: 16), let high = UInt(ends[1], radix: 16), low < high,
        let start = unsafe UnsafeMutableRawPointer(bitPattern: low)
      else { continue }
      if unsafe madvise(start, Int(high - low), MADV_DONTNEED) == 0 { released += Int(high - low) }
    }
    return released
  }
}
