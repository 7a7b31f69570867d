#!/usr/bin/env python3
"""Ten seconds of `make hostile`: clients and servers that do anything, configurations that change, innocents who must not notice."""
import subprocess, sys
import lab

lab.need(lab.BIN / "weft-proxy", "openssl")
done = subprocess.run([sys.executable, lab.ROOT / "Tests" / "Partners" / "hostile" / "run.py", "--rounds", "1", "--seconds", "10", "--readers", "60"])
sys.exit(done.returncode)
