// Counters against peers that make us work for nothing.

/// What a peer has made us do without getting a request further.
struct H2FloodCounters {
  /// Frames in our output that answer the peer's, not flushed yet.
  var outboundControl = 0
  var emptyFrames = 0
  var priority = 0
  var windowUpdates = 0
  /// SETTINGS and unknown frames in the current ten seconds.
  var control = 0
  var controlWindowStart: UInt64 = 0
  var pings = 0
  var streamsOpened = 0
  var dataFramesSent = 0
  var dataFramesReceived = 0
  var closedStreams = 0
  var prematureResets = 0
  /// Streams refused for the limit's sake before the peer acknowledged it.
  var earlyRefusals = 0

  mutating func emptyFrame(_ limits: HTTP2Limits) -> Bool {
    emptyFrames += 1
    return emptyFrames > limits.maxEmptyFrames
  }

  mutating func priorityFrame(_ limits: HTTP2Limits) -> Bool {
    priority += 1
    return priority > Self.product(limits.maxPriorityPerStream, 1 + streamsOpened)
  }

  mutating func windowUpdate(_ limits: HTTP2Limits) -> Bool {
    windowUpdates += 1
    return windowUpdates > 5 + Self.product(limits.maxWindowUpdatePerDataFrame, streamsOpened + 10 * dataFramesSent)
  }

  /// Some peers measure the path with a PING for every other DATA frame: PINGs beyond the fixed allowance are fine where content flows.
  mutating func ping(_ limits: HTTP2Limits, now: UInt64) -> Bool {
    pings += 1
    if pings <= Self.product(limits.maxPingPerDataFrame, streamsOpened + dataFramesSent + dataFramesReceived) {
      return false
    }
    return controlFrame(limits, now: now)
  }

  mutating func controlFrame(_ limits: HTTP2Limits, now: UInt64) -> Bool {
    if now &- controlWindowStart > 10_000_000_000 {
      controlWindowStart = now
      control = 0
    }
    control += 1
    return control > limits.maxControlFramesPerTenSeconds
  }

  /// A stream ended by a reset the peer sent or provoked. True when the connection must end: like Envoy's rule, half of
  /// the streams after the first `prematureResetStreams`, or half that number earlier.
  mutating func reset(age: UInt64, _ limits: HTTP2Limits) -> Bool {
    if age < limits.prematureResetAge { prematureResets += 1 }
    return prematureResets * 2 >= max(limits.prematureResetStreams, closedStreams)
  }

  /// Limits may be as large as their type, for peers that are trusted; counts grow as long as a connection lives.
  private static func product(_ limit: Int, _ count: Int) -> Int {
    let (product, overflow) = limit.multipliedReportingOverflow(by: count)
    return overflow ? .max / 2 : product
  }
}
