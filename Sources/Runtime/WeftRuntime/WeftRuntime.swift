// WeftRuntime: one thread, one event loop, sockets, timers, signals, names.
//
// Owns      EventLoop (connections as slots, stashes, write queues, timers, mailbox), the drivers behind it (EpollDriver for real
//           sockets, MemoryDriver for tests in virtual time), Worker (a thread for a loop), Resolver (DNS on the loop), signals.
// Never     parses a protocol, knows a policy, shares state between loops, takes a lock on the path of a request.
// Neighbours WeftBase and the C shims below; WeftTLS plugs into it as a TransportSession; WeftService, WeftUpstream and WeftProxy
//           are its handlers.
// Threads   everything belongs to the loop's thread except `Mailbox`, which any thread may post to.
//
// How a turn goes: wait for readiness → read the clock once → deliver events → run timers → mailbox → consequences of what the
// handler did (connected, drained, closed, resumed input) → end-of-turn tokens.
//
// An idle connection owns no buffer: input is read into one buffer per loop and only what the handler leaves is kept, in a pooled block;
// output goes to the socket at once and only what the socket refuses is queued, in pooled blocks.
