#!/usr/bin/env python3
"""weft-proxy --mode validate: accepts every valid bootstrap of ours, as a real Envoy does, and refuses every broken one with a field path."""
import subprocess
import lab

GOLDEN = lab.ROOT / "Tests" / "Golden" / "bootstrap"


def validate(*words, cwd):
    done = subprocess.run([str(w) for w in words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, cwd=cwd)
    return done.returncode, done.stdout + done.stderr


valid = sorted(p for p in (GOLDEN / "valid").iterdir() if p.suffix in (".yaml", ".json"))
invalid = sorted(p for p in (GOLDEN / "invalid").iterdir() if p.suffix in (".yaml", ".json"))
assert len(valid) >= 30 and len(invalid) >= 15, f"{len(valid)} valid and {len(invalid)} invalid files"
problems = []
for path in valid:
    code, text = validate(lab.BIN / "weft-proxy", "--mode", "validate", "-c", path, cwd=path.parent)
    if code != 0:
        problems.append(f"{path.name} should be accepted: {text.strip()[-400:]}")
for path in invalid:
    code, text = validate(lab.BIN / "weft-proxy", "--mode", "validate", "-c", path, cwd=path.parent)
    if code != 1:
        problems.append(f"{path.name} should be refused with exit code 1, not {code}: {text.strip()[-200:]}")
if lab.ENVOY.exists():
    for path in valid:
        code, text = validate(lab.ENVOY, "--mode", "validate", "-c", path, "--log-level", "error", cwd=path.parent)
        if code != 0:
            problems.append(f"Envoy refuses {path.name}: {text.strip()[-400:]}")
assert not problems, "\n".join(problems)
print(f"{len(valid)} accepted{' (by Envoy, too)' if lab.ENVOY.exists() else ''}, {len(invalid)} refused")
