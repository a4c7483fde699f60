"""A broker that is away for a minute: does every event arrive once and in order, and what does it cost who writes?

    python tests/measure_sinks.py [--down 60] [--rate 20]

Events come at a steady rate before, while and after Mosquitto is stopped, and the process that writes them is killed
and started again in the middle of that.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from mqtt_broker import Broker, Subscriber, until

from vljepa_runtime.events import Event
from vljepa_runtime.sinks import MqttSink

WRITER = "--write"


def write(address: str, outbox: str, first: int, rate: float) -> None:
    """Write an event after the other until this process is killed or its stdin ends; say what each took, in ms."""
    sink = MqttSink(address, outbox=outbox)
    begin_s, number = time.monotonic(), first
    while True:
        event = Event(stream="door", kind="segment", start_s=number, end_s=number, text=f"event {number}")
        start_s = time.perf_counter()
        sink.write(event)
        print(json.dumps([number, (time.perf_counter() - start_s) * 1000]), flush=True)
        number += 1
        time.sleep(max(0.0, begin_s + (number - first) / rate - time.monotonic()))


class Writer:
    """The process that writes."""

    def __init__(self, address: str, folder: Path, first: int, rate: float) -> None:
        command = [sys.executable, __file__, WRITER, address, str(folder / "outbox"), str(first), str(rate)]
        self._lines = (folder / f"{first}.jsonl").open("w+")
        self._process = subprocess.Popen(command, stdout=self._lines)

    def kill(self) -> list[tuple[int, float]]:
        """End it without a warning; the events that it wrote, and what each took."""
        self._process.kill()
        self._process.wait()
        self._lines.seek(0)
        found = [json.loads(line) for line in self._lines if line.endswith("\n")]
        self._lines.close()
        return [(number, took_ms) for number, took_ms in found]


def main() -> int:
    """Print what came of it; 1 where an event is missing, came twice or out of order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--down", type=float, default=60.0, help="seconds without a broker")
    parser.add_argument("--rate", type=float, default=20.0, help="events a second")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, Broker(Path(place, "broker")) as broker:
        folder, address = Path(place), f"mqtt://127.0.0.1:{broker.port}"
        broker.start()
        subscriber = Subscriber(broker)
        writer = Writer(address, folder, 0, args.rate)
        time.sleep(5)
        broker.stop()
        time.sleep(args.down / 2)
        written = writer.kill()
        writer = Writer(address, folder, written[-1][0] + 1, args.rate)
        time.sleep(args.down / 2)
        broker.start()
        start_s = time.monotonic()
        assert until(lambda: len(subscriber.events()) >= len(written), limit_s=120)
        back_s = time.monotonic() - start_s
        time.sleep(5)
        written += writer.kill()
        with MqttSink(address, outbox=folder / "outbox"):
            until(lambda: len(subscriber.events()) >= len(written))
        time.sleep(1)
        subscriber.close()
    numbers = [number for number, _ in written]
    got = [int(event["start_s"]) for event in subscriber.events()]
    messages = [m for m in subscriber.messages if m.topic == "vljepa/door/segment"]
    took = sorted(took_ms for _, took_ms in written)
    print(f"written {len(numbers)}, messages {len(messages)}, events after deduplication by id {len(got)}")
    print(
        f"missing {len(set(numbers) - set(got))}, twice {len(got) - len(set(got))}, in order {got == sorted(got)}"
    )
    print(f"what waited was delivered {back_s:.1f} s after the broker was back")
    print(f"a write took {statistics.median(took):.2f} ms (median), {took[-1]:.1f} ms at most")
    return 0 if got == numbers else 1


if __name__ == "__main__":
    if sys.argv[1:2] == [WRITER]:
        write(sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))
    else:
        sys.exit(main())
