// CompiledMirror: where a copy of a request goes, as the engine reads it.

package import WeftBase
package import WeftProxyAPI

/// A mirror policy of a route or a cluster.
package struct CompiledMirror: BitwiseCopyable {
  /// The cluster's name; empty when the request header `clusterHeader` holds it.
  package var cluster: ByteView
  package var clusterHeader: ByteView
  /// Of the requests, how many are copied.
  package var share: RuntimeShare
  /// `-shadow` stands behind the name in the copy's authority.
  package var appendsSuffix: Bool
  /// The copy's authority; empty: the request's own.
  package var host: ByteView

  package init(cluster: ByteView, clusterHeader: ByteView, share: RuntimeShare, appendsSuffix: Bool, host: ByteView) {
    self.cluster = cluster
    self.clusterHeader = clusterHeader
    self.share = share
    self.appendsSuffix = appendsSuffix
    self.host = host
  }
}
