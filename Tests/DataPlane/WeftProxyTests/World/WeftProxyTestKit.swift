// WeftProxyTestKit: the world in which WeftProxy's tests run it. A worker on a memory driver, peers that speak HTTP/1 and
// HTTP/2, certificates, ends of tunnels. The bundles of `Tests/DataPlane/WeftProxyTests` import it with `@testable`; it
// sees the proxy's internals itself, so only debug builds declare it. What tests of every room share is WeftTestKit.
