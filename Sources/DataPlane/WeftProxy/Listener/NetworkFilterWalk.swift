// NetworkFilterWalk: the network filters of a connection are called here, held and resumed.
//
// A chain without network filters costs one comparison per event (`DownstreamConnection.network` is none). Filters never call the engine: they
// answer with a verdict. A connection is held in two places: before its chain begins, with nothing read, and in the middle of what comes, which
// then waits in the loop.

import WeftBase
import WeftProxyAPI
import WeftRuntime
import WeftTables
import WeftTelemetry
import WeftUpstream

/// What a connection's network filters are at, and their states.
struct NetworkBlock: BitwiseCopyable {
  /// First of all: where a block is, there its states begin (`NetworkFilterChainBuilder.largestState`).
  var states: InlineArray<24, UInt64>
  var phase = NetworkPhase.running
  /// The entry of the list of its event at which the connection waits.
  var heldAt: UInt8 = 0
  /// Filters that were asked about the new connection.
  var asked: UInt8 = 0
  /// Bytes left by the terminal filter that the filters have seen; behind them, those that a filter held the connection with.
  var seen: UInt32 = 0
  var held: UInt32 = 0

  init(_ image: ConstantTable<UInt64>) {
    states = InlineArray(repeating: 0)
    for i in image.indices { states[i] = image[i] }
  }
}

extension WorkerEngine {
  /// Asks the network filters about a connection whose chain is chosen. *Returns*: whether it goes on now; else it is held, or closed.
  func startNetworkFilters(_ d: DownstreamIndex) -> Bool {
    let slot = downstreams.ref(d)
    guard let chain = slot[].chainConfig?[].network else { return true }
    guard let block = networkBlocks.insert(NetworkBlock(chain[].image)) else {
      close(downstream: d, .atOnce)
      return false
    }
    slot[].network = block
    if !chain[].output.isEmpty { turn[].outputFilters += 1 }
    return askAboutConnection(d, chain, from: 0)
  }

  private func askAboutConnection(_ d: DownstreamIndex, _ chain: ConfigRef<NetworkFilterChain>, from start: Int) -> Bool
  {
    let block = networkBlocks.ref(downstreams[d].network)
    let list = chain[].newConnection
    var i = start
    while i < list.count {
      let entry = list[i]
      block[].asked = UInt8(truncatingIfNeeded: entry.position + 1)
      switch entry.code._newConnection(site(d, chain, Int(entry.position))) {
      case .go: i += 1
      case .hold:
        block[].phase.heldBefore()
        hold(d, at: i)
        return false
      case .close:
        refuse(d)
        return false
      }
    }
    block[].asked = UInt8(truncatingIfNeeded: chain[].count)
    return true
  }

  /// A filter does not let the connection in. Behind it a TCP proxy logs it as one that was not served, as Envoy's does.
  private func refuse(_ d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    if let proxy = slot[].chainConfig?[].tcp, !proxy[].accessLogs.isEmpty,
      let s = streams.insert(
        Stream(downstream: d, downstreamID: 0, snapshot: slot[].snapshot, random: random(), now: now))
    {
      streams[s].responseFlags.insert(.upstreamRetryLimitExceeded)
      logTCP(s, proxy)
      streams.remove(s)
    }
    close(downstream: d, .atOnce)
  }

  /// Where the filter at `position` is called. The desk is laid for it.
  private func site(_ d: DownstreamIndex, _ chain: ConfigRef<NetworkFilterChain>, _ position: Int) -> NetworkSite {
    networkDesk[].now = now
    networkDesk[].wait = 0
    networkDesk[].closes = false
    let state = unsafe UnsafeMutableRawPointer(networkBlocks.pointer(downstreams[d].network))
    return unsafe NetworkSite(
      state + Int(chain[].offsets[position]), chain[].configs[position].config ?? UnsafeRawPointer(state),
      networkDesk.address)
  }

  private func hold(_ d: DownstreamIndex, at entry: Int) {
    let slot = downstreams.ref(d)
    let block = networkBlocks.ref(slot[].network)
    block[].heldAt = UInt8(truncatingIfNeeded: entry)
    pauseReading(downstream: d)
    // It ends with the connection (`endNetworkFilters`), which may be long before.
    turn[].networkHolds[d.index] = loop.schedule(after: .nanoseconds(Int64(clamping: networkDesk[].wait))) {
      [weak self] in
      guard let self, downstreams.contains(d), !downstreams[d].life.isClosed else { return }
      holdEnded(d)
      flushStage()
    }
  }

  private func holdEnded(_ d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    guard !slot[].network.isNone, let chain = slot[].chainConfig?[].network else { return }
    let block = networkBlocks.ref(slot[].network)
    turn[].networkHolds[d.index] = nil
    let phase = block[].phase
    let heldAt = Int(block[].heldAt)
    let position =
      switch phase {
      case .running: -1
      case .heldBefore: Int(chain[].newConnection[heldAt].position)
      case .heldInput: Int(chain[].input[heldAt].position)
      }
    if position < 0 { return }
    if let filter = chain[].holding[position] {
      switch filter._resumed(site(d, chain, position)) {
      case .go: break
      case .hold: return hold(d, at: heldAt)
      case .close: return phase == .heldBefore ? refuse(d) : close(downstream: d, .atOnce)
      }
    }
    block[].phase.released()
    switch phase {
    case .heldBefore:
      guard askAboutConnection(d, chain, from: heldAt + 1) else { return }
      resumeReading(downstream: d)
      startChain(d)
    default:
      block[].heldAt += 1
      resumeReading(downstream: d)
    }
  }

  /// Shows the filters what has come, and passes it on to the terminal filter. *Returns*: how much was taken.
  func receivedFiltered(_ d: DownstreamIndex, _ bytes: ByteView) -> Int {
    let slot = downstreams.ref(d)
    let block = networkBlocks.ref(slot[].network)
    if block[].phase != .running {
      pauseReading(downstream: d)
      return 0
    }
    if let chain = slot[].chainConfig?[].network, !chain[].input.isEmpty {
      if block[].held > 0 {
        // What the connection was held with goes on behind the filter that held it.
        let part = bytes.dropFirst(Int(block[].seen)).prefix(Int(block[].held))
        guard showInput(d, chain, part, from: Int(block[].heldAt)) else { return leftByFilters(d, bytes) }
      }
      let fresh = bytes.dropFirst(Int(block[].seen))
      guard fresh.isEmpty || showInput(d, chain, fresh, from: 0) else { return leftByFilters(d, bytes) }
    }
    let taken = passOn(d, bytes)
    if downstreams.contains(d), !slot[].life.isClosed { block[].seen = UInt32(clamping: bytes.count - taken) }
    return taken
  }

  /// Nothing is taken from a connection that is held, all from one that is closed.
  private func leftByFilters(_ d: DownstreamIndex, _ bytes: ByteView) -> Int {
    downstreams[d].life.isClosed ? bytes.count : 0
  }

  /// *Returns*: whether all filters let the bytes pass; else the connection is held, or closed.
  private func showInput(
    _ d: DownstreamIndex, _ chain: ConfigRef<NetworkFilterChain>, _ bytes: ByteView, from start: Int
  ) -> Bool {
    let block = networkBlocks.ref(downstreams[d].network)
    let list = chain[].input
    var i = start
    while i < list.count {
      switch list[i].code._input(site(d, chain, Int(list[i].position)), bytes) {
      case .go: i += 1
      case .hold:
        block[].held = UInt32(clamping: bytes.count)
        block[].phase.heldInput()
        hold(d, at: i)
        return false
      case .close:
        close(downstream: d, .atOnce)
        return false
      }
    }
    block[].seen += UInt32(clamping: bytes.count)
    block[].held = 0
    return true
  }

  /// Shows the filters what leaves for the client of `c`. Called only while some connection has filters that want to see it.
  @inline(never)
  func showOutput(_ c: ConnectionID, _ bytes: ByteView) {
    let word = loop.user(c)
    guard word >> 32 == Side.downstream.rawValue,
      let d = downstreams.liveIndex(at: UInt32(truncatingIfNeeded: word)),
      !downstreams[d].network.isNone, let chain = downstreams[d].chainConfig?[].network
    else { return }
    let list = chain[].output
    for i in 0..<list.count { list[i].code._output(site(d, chain, Int(list[i].position)), bytes) }
  }

  // MARK: The terminal filter

  /// The connection is its terminal filter's from here on.
  func beginTerminal(_ d: DownstreamIndex) {
    callTerminal(d) { $0._began($1) }
  }

  /// *Returns*: how much was taken.
  func receivedTerminal(_ d: DownstreamIndex, _ bytes: ByteView) -> Int {
    var taken = bytes.count
    callTerminal(d) { taken = min(bytes.count, max(0, $0._received($1, bytes))) }
    return taken
  }

  func inputEndedTerminal(_ d: DownstreamIndex) {
    callTerminal(d) { $0._inputEnded($1) }
  }

  /// Calls the filter that ends the chain, sends what it sends, and ends the connection if it says so.
  @inline(__always)
  private func callTerminal(_ d: DownstreamIndex, _ body: (any TerminalFilter.Type, NetworkSite) -> Void) {
    let slot = downstreams.ref(d)
    guard !slot[].network.isNone, let chain = slot[].chainConfig?[].network, !chain[].terminal.isEmpty else {
      return close(downstream: d, .gracefully)
    }
    let entry = chain[].terminal[0]
    body(entry.code, site(d, chain, Int(entry.position)))
    let closes = networkDesk[].closes
    if !terminalOutput[].isEmpty {
      send(terminalOutput[].view, to: slot[].connection)
      if terminalOutput[].capacity > 256 << 10 { terminalOutput[].release() } else { terminalOutput[].removeAll() }
    }
    if closes {
      flushStage()
      close(downstream: d, .gracefully)
    }
  }

  /// The connection is over: its filters hear of it, and its block is free.
  func endNetworkFilters(_ d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    let block = slot[].network
    guard !block.isNone, let chain = slot[].chainConfig?[].network else { return }
    if let wait = turn[].networkHolds.removeValue(forKey: d.index) { loop.cancel(wait) }
    let list = chain[].end
    for i in 0..<list.count where list[i].position < networkBlocks[block].asked {
      list[i].code._connectionEnded(site(d, chain, Int(list[i].position)))
    }
    if !chain[].output.isEmpty { turn[].outputFilters -= 1 }
    slot[].network = .none
    networkBlocks.remove(block)
  }
}
