// bookstore: four small services in one program, to have something real behind the mesh.
//
//   bookstore page|details|reviews|ratings [--port N] [--grpc]
//
// It listens on --port (or PORT) of the loopback address and finds its upstreams the way any program in the mesh does: DETAILS_URL,
// REVIEWS_URL and RATINGS_URL in its environment. WEFT_VERSION is the version it reports. With --grpc, reviews asks ratings by gRPC.
import Glibc
import WeftService

let words = Array(CommandLine.arguments.dropFirst())
guard let name = words.first, let role = Role(rawValue: name) else {
  complain("usage: bookstore page|details|reviews|ratings [--port N] [--grpc]")
  exit(2)
}
let portWord = words.firstIndex(of: "--port").flatMap { $0 + 1 < words.count ? words[$0 + 1] : nil } ?? variable("PORT")
guard let port = UInt16(portWord ?? "9080") else {
  complain("bookstore: '\(portWord ?? "")' is not a port")
  exit(2)
}

try await ServiceRuntime.with(name: "bookstore") { runtime in
  let store = Bookstore(
    role: role, version: variable("WEFT_VERSION") ?? "v1",
    upstreams: Upstreams(runtime: runtime, ratingsOverGRPC: words.contains("--grpc")))
  let configuration = HTTPServerConfiguration(addresses: [.loopback(port: port)])
  try await HTTPServer.serving(configuration, on: runtime, handler: store.answer) { server in
    print(
      "bookstore: \(role.rawValue) \(store.version) on \(server.addresses.map(\.description).joined(separator: ", "))")
    // A signal ends the program: the agent has drained it before it sends one.
    while true { try await Task.sleep(for: .seconds(3600)) }
  }
}

func variable(_ name: String) -> String? {
  guard let value = unsafe getenv(name) else { return nil }
  return unsafe String(cString: value)
}

func complain(_ text: String) {
  let line = Array((text + "\n").utf8)
  _ = unsafe line.withUnsafeBytes { unsafe write(2, $0.baseAddress, $0.count) }
}
