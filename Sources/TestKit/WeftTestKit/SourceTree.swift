// Files of the repository, for tests that compare them with the code.
import Glibc

/// The checkout the tests were built from.
package enum SourceTree {
  package static let root = String(#filePath.dropLast("/Sources/TestKit/WeftTestKit/SourceTree.swift".count))

  /// A file's text. *Errors*: `FileProblem` when it cannot be read.
  package static func text(_ path: String) throws -> String {
    String(decoding: try bytes("\(root)/\(path)"), as: UTF8.self)
  }

  /// Paths of the files directly in a folder of the checkout, sorted. *Errors*: `FileProblem` when it cannot be read.
  package static func files(in folder: String) throws -> [String] { try entries(of: folder).files }

  /// Paths of the files in a folder of the checkout and in those below it, sorted. *Errors*: `FileProblem` when one cannot be read.
  package static func files(below folder: String) throws -> [String] {
    let (files, folders) = try entries(of: folder)
    return try (files + folders.flatMap { try Self.files(below: $0) }).sorted()
  }

  private static func entries(of folder: String) throws -> (files: [String], folders: [String]) {
    guard let directory = unsafe opendir("\(root)/\(folder)") else { throw FileProblem(path: folder, code: errno) }
    defer { unsafe closedir(directory) }
    var files: [String] = []
    var folders: [String] = []
    while let entry = unsafe readdir(directory) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { raw in
        unsafe String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name.hasPrefix(".") { continue }
      if unsafe entry.pointee.d_type == UInt8(DT_DIR) {
        folders.append("\(folder)/\(name)")
      } else {
        files.append("\(folder)/\(name)")
      }
    }
    return (files.sorted(), folders)
  }

  /// The bytes of any file. *Errors*: `FileProblem` when it cannot be read.
  package static func bytes(_ path: String) throws -> [UInt8] {
    guard let file = unsafe fopen(path, "r") else { throw FileProblem(path: path, code: errno) }
    defer { unsafe fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = unsafe chunk.withUnsafeMutableBytes { unsafe fread($0.baseAddress, 1, $0.count, file) }
      if count == 0 { return bytes }
      bytes += chunk[..<count]
    }
  }
}

/// A file of the repository cannot be read.
package struct FileProblem: Error, CustomStringConvertible {
  package var path: String
  package var code: Int32

  package var description: String { "\(path): \(unsafe String(cString: strerror(code)))" }
}
