import Testing
import WeftControlAPI
import WeftKinds
import WeftTestKit

@testable import WeftConfig

/// Every object of Tests/Golden/kinds/<kind>/valid.in.yaml must pass without an error; those of invalid.in.yaml must give
/// exactly the findings of invalid.out.txt. `make golden-update` rewrites the latter: read the difference.
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
    #expect(try Golden.expected("kinds/\(kind)/invalid.out.txt", for: found) == found)
  }

  private static func candidates(_ kind: String, _ set: String) throws -> [Candidate] {
    let bytes = try Golden.bytes("kinds/\(kind)/\(set).in.yaml")
    return DocumentReader(defaults: ConfigDefaults(namespace: "shop")).candidates(in: bytes)
  }
}
