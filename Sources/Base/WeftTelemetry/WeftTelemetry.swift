// WeftTelemetry: what a program tells about itself: statistics, access-log lines, log messages. Formats and counters
// only.
//
// Owns      metric names (Catalog/), counter pages that one worker writes and anyone may read (Metrics/), the
// Prometheus, text and
//           JSON forms of statistics, compiled access-log formats with their sinks and filters (AccessLog/), response
//           flags, and the
//           program's own log (Log/).
// Never     decides anything about traffic, opens a network connection, or makes the data path wait: a worker adds to
// memory that it alone
//           writes, or appends to a buffer that a cold thread empties.
// Neighbours below: WeftBase, CLinux, CAtomics. Above: WeftUpstream, WeftProxy, WeftControl and the programs.
// Threads   `StatBlock`s belong to one worker each; `MetricsRegistry`, `AccessLogFile` and `Logger` may be used from
// any thread.
