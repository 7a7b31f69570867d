#!/usr/bin/env python3
"""weft-proxy's memory idle and with 1,000 idle connections, and its heap calls per HTTP/1.1 request, against their limits."""
import json, sys
import lab

lab.need("wrk", "cc")
sys.path.insert(0, str(lab.ROOT / "Benchmarks"))
import run as bench

idle, added = bench.memory()
assert idle <= 12, f"idle RSS is {idle:.1f} MB, more than 12"
assert added <= 1, f"1,000 idle connections add {added:.2f} MB, more than 1"
per_request, calls, requests = bench.allocations_per_request()
limit = json.loads((lab.ROOT / "Benchmarks" / "thresholds.json").read_text())["h1AllocationsPerRequest"]
assert round(per_request, 3) <= limit, f"{per_request:.3f} heap calls per request ({calls} in {requests})"
print(f"idle {idle:.1f} MB, +{added:.2f} MB for 1,000 connections, {per_request:.3f} heap calls per request")
