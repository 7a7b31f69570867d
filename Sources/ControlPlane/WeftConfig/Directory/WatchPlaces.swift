import Glibc

/// The directories in which a change of configuration can show itself: those that are read, and those through which
/// symbolic links lead, so that a link that is swapped (`..data` of a Kubernetes volume, `current` of a release) is seen.
struct WatchPlaces: Equatable, Sendable {
  /// Which names in a directory matter.
  enum Names: Equatable, Sendable {
    case all
    case only(Set<String>)

    func contains(_ name: String) -> Bool {
      switch self {
      case .all: true
      case .only(let names): names.contains(name)
      }
    }
  }

  private(set) var names: [String: Names] = [:]
  /// Links that one path may lead through; the system's own limit.
  static let linkLimit = 40

  /// All of a directory matters.
  mutating func addAll(in directory: String) { names[directory] = .all }

  mutating func add(_ name: String, in directory: String) {
    switch names[directory] {
    case .all: break
    case .only(var known):
      known.insert(name)
      names[directory] = .only(known)
    case nil: names[directory] = .only([name])
    }
  }

  /// The places that decide what `path` leads to: every link on the way; the first name that is missing; and, for a file
  /// (`isRoot` false), where it really lies.
  mutating func addLinks(of path: String, isRoot: Bool) {
    var rest = Array(Self.absolute(path).split(separator: "/").map(String.init).reversed())
    var current = ""
    var links = 0
    while let part = rest.popLast() {
      if part == "." { continue }
      if part == ".." {
        current = String(current[..<(current.lastIndex(of: "/") ?? current.startIndex)])
        continue
      }
      let parent = current.isEmpty ? "/" : current
      let next = "\(current)/\(part)"
      var status = stat()
      guard unsafe lstat(next, &status) == 0 else {
        add(part, in: parent)
        return
      }
      guard status.st_mode & S_IFMT == S_IFLNK else {
        if rest.isEmpty, !isRoot { add(part, in: parent) }
        current = next
        continue
      }
      add(part, in: parent)
      links += 1
      guard links <= Self.linkLimit, let target = Self.target(of: next) else { return }
      if target.hasPrefix("/") { current = "" }
      rest += target.split(separator: "/").map(String.init).reversed()
    }
  }

  private static func absolute(_ path: String) -> String {
    if path.hasPrefix("/") { return path }
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    let here = unsafe buffer.withUnsafeMutableBufferPointer { unsafe getcwd($0.baseAddress, $0.count) != nil }
    guard here else { return "/" + path }
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self) + "/" + path
  }

  private static func target(of link: String) -> String? {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = unsafe buffer.withUnsafeMutableBufferPointer { room -> Int in
      guard let base = room.baseAddress else { return 0 }
      return unsafe readlink(link, base, room.count)
    }
    return count > 0 ? String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) : nil
  }
}
