import Glibc
import Testing
import WeftControlAPI
import WeftKinds

@testable import WeftConfig

/// Every object of Tests/Golden/kinds/<kind>/valid.in.yaml must pass without an error; those of invalid.in.yaml must give
/// exactly the findings of invalid.out.txt. `WEFT_GOLDEN=update` rewrites the latter: read the difference.
@Suite("kinds, by golden files")
struct KindGoldenTests {
  static let kinds = KindRegistry.all.map(\.name.rawValue)

  @Test("valid objects are accepted, in every version of the group", arguments: kinds)
  func valid(kind: String) throws {
    let candidates = try Self.candidates(kind, "valid")
    #expect(candidates.count >= 5, "\(kind) has too few valid cases")
    for candidate in candidates {
      #expect(candidate.errors.isEmpty, "\(candidate.name): \(candidate.errors)")
      #expect(candidate.envelope?.kind.rawValue == kind)
    }
  }

  @Test("invalid objects give exactly the expected findings, by path", arguments: kinds)
  func invalid(kind: String) throws {
    let candidates = try Self.candidates(kind, "invalid")
    var lines: [String] = []
    for candidate in candidates {
      let worst = candidate.errors.isEmpty ? "accepted" : "refused"
      lines.append("\(candidate.name): \(worst)")
      for problem in candidate.problems {
        let code = problem.code.map { " (\($0))" } ?? ""
        lines.append("  \(problem.severity) \(problem.path): \(problem.message)\(code)")
      }
      #expect(!candidate.problems.isEmpty, "\(candidate.name) has nothing wrong with it")
      #expect(candidate.errors.isEmpty == (candidate.envelope != nil))
    }
    let found = lines.joined(separator: "\n") + "\n"
    let path = "\(Self.folder)/\(kind)/invalid.out.txt"
    if unsafe getenv("WEFT_GOLDEN").map({ unsafe String(cString: $0) }) == "update" {
      try Self.write(path, found)
    }
    let expected = String(decoding: try DirectoryScan.contents(of: path, limit: 1 << 20).bytes, as: UTF8.self)
    #expect(found == expected, "differs from \(path)")
  }

  private static let folder = #filePath.replacing(
    "ControlPlane/WeftConfigTests/Kinds/KindGoldenTests.swift", with: "Golden/kinds")

  private static func candidates(_ kind: String, _ set: String) throws -> [Candidate] {
    let bytes = try DirectoryScan.contents(of: "\(folder)/\(kind)/\(set).in.yaml", limit: 1 << 20).bytes
    return DocumentReader(defaults: ConfigDefaults(namespace: "shop")).candidates(in: bytes)
  }

  private static func write(_ path: String, _ text: String) throws {
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    #expect(descriptor >= 0)
    let bytes = Array(text.utf8)
    let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
    #expect(count == bytes.count)
    close(descriptor)
  }
}
