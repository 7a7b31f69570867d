// weft-fleet: many proxies in one process, to see how long a change takes to reach those it concerns.
//
//   weft-fleet API_URL XDS_ADDRESS [--proxies 1000] [--services 50] [--rounds 20] [--captured] [--stuck 0]
//
// Registers services with four instances each and one that everybody calls (`hub`), connects proxies over ADS (half of them delta, half
// state of the world, each on a connection of its own), then changes one VirtualService or one endpoint a round and notes when each proxy
// has the new resource. Prints one line of JSON per kind of change: how many proxies it concerned, how many others heard of it, and the
// time from before the write to the arrival, over all proxies and rounds, in milliseconds.
// With --stuck N, N more proxies ask for the whole mesh and read nothing: the figures are those of the others.
// With --captured the proxies have no explicit upstreams: each is given the whole mesh, and each change concerns all.
import Glibc
import WeftService

let words = Array(CommandLine.arguments.dropFirst())

func number(_ name: String, _ standard: Int) -> Int {
  guard let index = words.firstIndex(of: name), index + 1 < words.count else { return standard }
  return Int(words[index + 1]) ?? standard
}

guard words.count >= 2, let address = ServiceAddress(words[1]) else {
  print("usage: weft-fleet API_URL XDS_ADDRESS [--proxies N] [--services N] [--rounds N] [--captured] [--stuck N]")
  exit(2)
}
let plan = FleetPlan(
  api: words[0], xds: address, proxies: number("--proxies", 1000), services: number("--services", 50),
  rounds: number("--rounds", 20), isCaptured: words.contains("--captured"),
  stuck: number("--stuck", 0))
do {
  try await FleetBench(plan).run { line in
    print(line)
    fflush(nil)
  }
} catch {
  print("weft-fleet: \(error)")
  exit(1)
}
