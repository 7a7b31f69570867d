package import WeftBase

/// What happened to one request or connection, as the access log prints it.
///
/// *Shape*: trivially copyable; views point into memory that lives until the line is written. *Units*: times are
/// nanoseconds after
/// `start`, −1 when the moment never came; sizes are bytes.
package struct AccessLogRecord: BitwiseCopyable {
  package enum ProtocolName: UInt8, BitwiseCopyable, Sendable {
    case none, http10, http11, http2
    /// `otherProtocol` names it.
    case other
  }
  package enum Kind: UInt8, BitwiseCopyable, Sendable {
    case downstreamEnd, tcpConnectionEnd
  }

  package var kind = Kind.downstreamEnd
  package var protocolName = ProtocolName.none
  package var upstreamProtocol = ProtocolName.none
  package var otherProtocol = ByteView.empty
  /// 0 when no response was begun.
  package var status: UInt16 = 0
  package var flags = ResponseFlags()
  /// Less than `noGRPCStatus` where it was no number.
  package var grpcStatus = noGRPCStatus
  /// The response carried none.
  package static let noGRPCStatus: Int64 = -1
  package var attempts: UInt32 = 0

  /// Wall clock. *Units*: nanoseconds since 1970.
  package var startUnixNanoseconds: Int64 = 0
  package var lastDownstreamRx: Int64 = -1
  package var firstUpstreamTx: Int64 = -1
  package var firstUpstreamRx: Int64 = -1
  package var lastUpstreamRx: Int64 = -1
  package var firstDownstreamTx: Int64 = -1
  package var lastDownstreamTx: Int64 = -1
  /// When the line is written: the whole duration.
  package var end: Int64 = -1

  package var bytesReceived: UInt64 = 0
  package var bytesSent: UInt64 = 0

  package var connectionID: UInt64 = 0
  package var streamID: UInt64 = 0
  /// One draw per stream; decides sampling.
  package var random: UInt64 = 0

  package var responseCodeDetails = ByteView.empty
  package var routeName = ByteView.empty
  package var virtualHostName = ByteView.empty
  package var filterChainName = ByteView.empty
  package var upstreamCluster = ByteView.empty
  package var upstreamHostName = ByteView.empty

  package var downstreamRemote = LogAddress()
  package var downstreamDirectRemote = LogAddress()
  package var downstreamLocal = LogAddress()
  package var downstreamDirectLocal = LogAddress()
  package var upstreamRemote = LogAddress()
  /// Known only where a log tells it.
  package var upstreamLocal = LogAddress()

  package var routeMetadata = ConstantTable<MetadataValue>()
  package var clusterMetadata = ConstantTable<MetadataValue>()
  /// What listener filters found.
  package var dynamicMetadata = ConstantTable<MetadataValue>()

  package init() {}
}

/// One value of a route's, a cluster's or a connection's metadata as text, by its path `namespace:key`.
package struct MetadataValue: BitwiseCopyable {
  package var path: ByteView
  package var text: ByteView

  package init(path: ByteView, text: ByteView) {
    self.path = path
    self.text = text
  }
}

extension ConstantTable where T == MetadataValue {
  /// Nil when there is nothing at `path`. *Cost*: one comparison per value; metadata that formats ask for is small.
  package func text(at path: ByteView) -> ByteView? {
    for i in indices where self[i].path.equals(path) { return self[i].text }
    return nil
  }
}

extension ConstantArena {
  /// Metadata in the form that formats ask.
  package func metadata(_ values: [String: String]) -> ConstantTable<MetadataValue> {
    table(values.sorted { $0.key < $1.key }.map { MetadataValue(path: text($0.key), text: text($0.value)) })
  }
}

/// An address that becomes text only when a line needs it.
package struct LogAddress: BitwiseCopyable {
  package enum Family: UInt8, BitwiseCopyable, Sendable { case none, ipv4, ipv6, unix }
  package var family = Family.none
  package var port: UInt16 = 0
  /// Network order; IPv4 in the first four bytes of `high`.
  package var high: UInt64 = 0
  package var low: UInt64 = 0
  package var path = ByteView.empty

  package init() {}
  /// *Shape*: `address` as in `in_addr`, most significant byte first in the number.
  package init(ipv4 address: UInt32, port: UInt16) {
    family = .ipv4
    high = UInt64(address) << 32
    self.port = port
  }
  package init(ipv6High high: UInt64, low: UInt64, port: UInt16) {
    family = .ipv6
    self.high = high
    self.low = low
    self.port = port
  }
  package init(unix path: ByteView) {
    family = .unix
    self.path = path
  }
}

/// Where a line takes what the record does not hold. Names are in lower case; pseudo-fields are `:method`, `:path`,
/// `:authority`,
/// `:scheme` and `:status`.
package protocol AccessLogSource {
  var record: AccessLogRecord { get }
  /// The first field of that name.
  func requestHeader(_ name: ByteView) -> ByteView?
  /// The field of that name that has `number` others before it.
  func requestHeader(_ name: ByteView, number: Int) -> ByteView?
  func responseHeader(_ name: ByteView) -> ByteView?
  func responseTrailer(_ name: ByteView) -> ByteView?
  /// Bytes of names and values as they went on, pseudo-fields included; 0 where there is no such head.
  var requestHeadersBytes: UInt64 { get }
  var responseHeadersBytes: UInt64 { get }
  var responseTrailersBytes: UInt64 { get }
}

extension AccessLogSource {
  package func requestHeader(_ name: ByteView, number: Int) -> ByteView? { number == 0 ? requestHeader(name) : nil }
}
