import Testing
import WeftBase
import WeftControlAPI
import WeftKinds

@testable import WeftConfig

@Suite("reading and admitting documents")
struct AdmissionTests {
  private static let good = """
    apiVersion: networking.istio.io/v1
    kind: DestinationRule
    metadata: {name: good}
    spec: {host: good}
    """

  private func read(_ text: String, namespace: String = "default") -> [Candidate] {
    DocumentReader(defaults: ConfigDefaults(namespace: namespace)).candidates(in: Array(text.utf8))
  }

  private func context(_ second: Int64 = 1) -> WriteContext { StoreFixtures.at(second) }

  @Test("several documents, lists and JSON are read; empty documents are nothing; the namespace is filled in")
  func documents() throws {
    let text = """
      ---
      ---
      \(Self.good)
      ---
      {"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "networking.istio.io/v1beta1", "kind": "Sidecar", "metadata": {"name": "s", "namespace": "other"},
         "spec": {"egress": [{"hosts": ["./*"]}]}}]}
      """
    let found = read(text, namespace: "shop")
    #expect(found.map { $0.envelope?.key.description } == ["DestinationRule/shop/good", "Sidecar/other/s"])
    #expect(found.allSatisfy { $0.problems.isEmpty })
  }

  @Test("a namespace is checked whether it is written or comes with the call", arguments: ["a*b", "../..", "A", "a.b"])
  func namespaces(_ namespace: String) {
    for candidate in read(Self.good, namespace: namespace)
      + read(Self.good.replacing("name: good", with: "name: good, namespace: \"\(namespace)\""))
    {
      #expect(candidate.envelope == nil)
      #expect(candidate.errors.map(\.path.description) == ["metadata.namespace"])
    }
  }

  @Test("an object with countless problems is told the first hundred and how many more there are")
  func countless() {
    let unknown = (0..<20_000).map { "k\($0): 1" }.joined(separator: "\n")
    let found = read(Self.good + "\n" + unknown)
    #expect(found.count == 1)
    #expect(found[0].envelope == nil)
    #expect(found[0].problems.count == EnvelopeReader.problemLimit + 1)
    #expect(found[0].problems.last?.message == "19900 more errors are not shown")
  }

  @Test("forty thousand hosts of a rule are read, and the one that overlaps is found")
  func manyHosts() {
    func rule(_ hosts: [String]) -> [Candidate] {
      read(
        """
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: big}
        spec: {hosts: [\(hosts.joined(separator: ", "))], http: [{route: [{destination: {host: s}}]}]}
        """)
    }
    let hosts = (0..<40_000).map { "h\($0).example.com" }
    #expect(rule(hosts).first?.errors.isEmpty == true)
    let overlapping = rule(hosts + ["\"*.example.com\""])
    #expect(overlapping.first?.errors.map(\.path.description) == ["spec.hosts[40000]"])
  }

  @Test(
    "a broken envelope is refused with the path of what is wrong",
    arguments: [
      ("just text", ""), ("kind: Pod\napiVersion: v1\nmetadata: {name: a}\nspec: {}", "kind"),
      ("apiVersion: networking.istio.io/v1\nmetadata: {name: a}\nspec: {}", "kind"),
      ("kind: Sidecar\nmetadata: {name: a}\nspec: {egress: [{hosts: [./*]}]}", "apiVersion"),
      (
        "apiVersion: networking.istio.io/v9\nkind: Sidecar\nmetadata: {name: a}\nspec: {egress: [{hosts: [./*]}]}",
        "apiVersion"
      ),
      ("apiVersion: networking.istio.io/v1\nkind: DestinationRule\nspec: {host: a}", "metadata"),
      ("apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {}\nspec: {host: a}", "metadata.name"),
      (
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: A_b}\nspec: {host: a}",
        "metadata.name"
      ),
      (
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a, namespace: A}\nspec: {host: a}",
        "metadata.namespace"
      ),
      (
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a, labels: {x: 1}}\nspec: {host: a}",
        #"metadata.labels["x"]"#
      ),
      (
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a, colour: red}\nspec: {host: a}",
        "metadata.colour"
      ),
      (
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a, resourceVersion: new}\nspec: {host: a}",
        "metadata.resourceVersion"
      ),
      ("apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}", "spec"),
      ("apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec: [a]", "spec"),
      (
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec: {host: a}\ndata: {}",
        "data"
      ),
      ("kind: [unclosed", ""),
    ])
  func brokenEnvelope(text: String, path: String) throws {
    let found = read(text)
    #expect(found.count == 1)
    #expect(found.first?.envelope == nil)
    #expect(found.first?.errors.map(\.path.description) == [path])
    #expect(found.first?.errors.first?.location != nil)
  }

  @Test("errors carry line and column of the field")
  func locations() throws {
    let text = """
      \(Self.good)
      ---
      apiVersion: networking.istio.io/v1
      kind: DestinationRule
      metadata:
        name: bad
      spec:
        host: a
        subsets:
        - name: v1
        - name: V_2
      """
    let problem = try #require(read(text).last?.problems.first)
    #expect(problem.path.description == "spec.subsets[1].name")
    #expect(problem.location?.line == 14)
    #expect(problem.location?.column == 5)
  }

  @Test("each object stands alone: the good one is stored, the bad one refused, the twin refused")
  func eachAlone() throws {
    let store = try ConfigStore(path: ":memory:")
    let bad = Self.good.replacing("name: good", with: "name: bad").replacing("host: good", with: "host: \"*.\"")
    let results = try Admission.apply(
      read([Self.good, bad, Self.good].joined(separator: "\n---\n")), to: store, context())
    #expect(results.map(\.action) == [.created, .refused, .refused])
    #expect(try store.list().objects.map(\.metadata.name) == ["good"])
  }

  @Test("all or nothing: one refusal refuses all, and nothing is kept")
  func allOrNothing() throws {
    let store = try ConfigStore(path: ":memory:")
    let bad = Self.good.replacing("name: good", with: "name: bad").replacing("host: good", with: "host: \"\"")
    let results = try Admission.apply(
      read("\(Self.good)\n---\n\(bad)"), to: store, unit: .allOrNothing, context())
    #expect(results.map(\.action) == [.refused, .refused])
    #expect(store.revision == 0)
  }

  @Test("a dry run answers as the real one and keeps nothing")
  func dryRun() throws {
    let store = try ConfigStore(path: ":memory:")
    let results = try Admission.apply(read(Self.good), to: store, dryRun: true, context())
    #expect(results.map(\.action) == [.created])
    #expect(store.revision == 0)
    #expect(try store.list().objects.isEmpty)
    try Admission.apply(read(Self.good), to: store, context())
    #expect(try Admission.apply(read(Self.good), to: store, context(2)).map(\.action) == [.unchanged])
  }

  @Test("a resourceVersion in the text is a condition")
  func optimistic() throws {
    let store = try ConfigStore(path: ":memory:")
    try Admission.apply(read(Self.good), to: store, context())
    let stale = Self.good.replacing("{name: good}", with: "{name: good, resourceVersion: \"7\"}")
    let results = try Admission.apply(read(stale), to: store, context(2))
    #expect(results.map(\.action) == [.refused])
    #expect(results[0].errors.first?.message.contains("resourceVersion 7") == true)
  }

  @Test("removal needs only names, and tells what was not there")
  func removal() throws {
    let store = try ConfigStore(path: ":memory:")
    try Admission.apply(read(Self.good), to: store, context())
    let noSpec = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: good}"
    #expect(try Admission.remove(read(noSpec), from: store, context()).map(\.action) == [.deleted])
    #expect(try Admission.remove(read(noSpec), from: store, context()).map(\.action) == [.absent])
  }

  @Test("a difference names every changed field with both values")
  func differences() throws {
    func object(_ spec: JSONValue) -> Envelope {
      Envelope(
        apiVersion: "networking.istio.io/v1", kind: .destinationRule,
        metadata: ObjectMetadata(name: "a", namespace: "b", resourceVersion: 4), spec: spec)
    }
    let changes = ObjectDiff.changes(
      from: object(["host": "a", "subsets": [["name": "v1"], ["name": "v2"]]]),
      to: object(["host": "b", "subsets": [["name": "v1"]], "exportTo": ["."]]))
    #expect(changes.map(\.path.description) == ["spec.host", "spec.subsets[1]", "spec.exportTo"])
    #expect(changes[0].before == "a" && changes[0].after == "b")
    #expect(changes[1].json["after"]?.kindName == .none)
    #expect(changes[2].json["before"]?.kindName == .none)
  }

  @Test("RE2 decides what a regular expression is")
  func regex() {
    #expect(RegexCheck.problem("/v[0-9]+/.*") == nil)
    #expect(RegexCheck.problem("(") != nil)
    #expect(RegexCheck.problem("(?=look)") != nil)
  }
}
