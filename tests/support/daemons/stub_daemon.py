"""``python -m support.daemons.stub_daemon serve ...``: starts, or fails to, as its chip's name says; no chip inside."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from hxloop.files.private_files import write_private
from hxloop.kernels.compiling import Compiling
from hxloop.protocol.messages import PROTOCOL_VERSION

options = dict(zip(sys.argv[2::2], sys.argv[3::2], strict=True))
chip = options["--chip"]
if chip == "crashing":
    print("Fatal: out of luck", flush=True)
    sys.exit(3)
if chip == "unknown":
    print("error: no chip is called 'unknown' (known: ideal)", file=sys.stderr)
    sys.exit(2)
if chip == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if chip == "silent":
    time.sleep(60)
if chip == "compiling":
    print("2026-01-01 00:00:00,000 WARNING hxloop.kernels.kernel_store: no place for kernels", flush=True)
    for k in range(10):
        print(f"2026-01-01 00:00:00,000 INFO hxloop_chip.worker.worker_process: {Compiling(k, 10, k)}", flush=True)
        time.sleep(0.3)
if chip == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
content = {
    "protocol": PROTOCOL_VERSION,
    "endpoint": options.get("--endpoint", "ipc:///nowhere/data.sock"),
    "control_endpoint": "ipc:///nowhere/control.sock",
    "pid": 1,
    "boot_id": str(child.pid),
    "identity": {"chip": chip, "serial": int(options["--serial"]), "spec": "X", "model": "1"},
}
file = Path(options["--connection-file"])
write_private(file, json.dumps(content).encode())
time.sleep(60)
