// WeftLoadBalancers: the balancing policies that come with Weft, one folder each.
//
// Nothing here knows the engine: a policy is a struct with a message, a compiled form, and a pick.
//
// *Owns*: what each policy reads of its message, compiles, and chooses. *Never does*: health, priorities, panic, localities: the engine gives it the list
// to choose from. *Neighbours*: WeftProxyAPI, which says what a policy is; programs give `LoadBalancers.all` to the engine. How to add one:
// docs/adding/balancer.md.

import WeftProxyAPI
