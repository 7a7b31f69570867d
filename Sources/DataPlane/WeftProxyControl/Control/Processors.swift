// Processors: how many this process may really use.

import Glibc

/// The processors this process may use.
package struct Processors: Sendable {
  /// As many workers as make sense: the affinity mask, cut by the cgroup's quota, rounded up.
  package let count: Int
  /// The processors of the affinity mask.
  package let ids: [Int]

  package static func available() -> Processors {
    var ids = allowed(read("/proc/self/status", limit: 8192) ?? "")
    if ids.isEmpty { ids = Array(0..<max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))) }
    var count = ids.count
    if let quota = quota() { count = min(count, max(1, Int(quota.rounded(.up)))) }
    return Processors(count: count, ids: ids)
  }

  /// The numbers in the line `Cpus_allowed_list: 0-3,8` of a process's status.
  static func allowed(_ status: String) -> [Int] {
    var ids: [Int] = []
    for line in status.split(separator: "\n") where line.hasPrefix("Cpus_allowed_list:") {
      for range in line.dropFirst(18).split(whereSeparator: { $0 == "," || $0 == " " || $0 == "\t" }) {
        let ends = range.split(separator: "-").compactMap { Int($0) }
        if let first = ends.first, let last = ends.last, first <= last, last < 1 << 16 { ids += first...last }
      }
    }
    return ids
  }

  /// The cgroup's processor quota (v2, then v1), in processors; nil without one.
  private static func quota() -> Double? {
    if let text = read("/sys/fs/cgroup/cpu.max") {
      let parts = text.split(separator: " ")
      if parts.count == 2, let most = Double(parts[0]), let period = Double(parts[1]), period > 0 {
        return most / period
      }
      return nil
    }
    guard
      let most = read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").flatMap(Double.init), most > 0,
      let period = read("/sys/fs/cgroup/cpu/cpu.cfs_period_us").flatMap(Double.init), period > 0
    else { return nil }
    return most / period
  }

  private static func read(_ path: String, limit: Int = 128) -> String? {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { _ = close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: limit)
    let n = unsafe Glibc.read(descriptor, &bytes, bytes.count)
    guard n > 0 else { return nil }
    while let last = bytes[..<n].last, last <= 32 { return String(decoding: bytes[..<(n - 1)], as: UTF8.self) }
    return String(decoding: bytes[..<n], as: UTF8.self)
  }
}
