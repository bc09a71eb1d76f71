"""Asks event-ruler about the event and the rules in a folder; prints the median time of an event per kind of rule."""

import json
import statistics
import sys
import time
from pathlib import Path

from event_ruler import event_ruler

folder, events = Path(sys.argv[1]), int(sys.argv[2])
event = (folder / "event.json").read_text()
for kind, rules in json.loads((folder / "rules.json").read_text()).items():
    patterns = [json.dumps(rule) for rule in rules]
    try:
        matched = sum(event_ruler.test_event_pattern(event, pattern) for pattern in patterns)
    except RuntimeError as error:
        print(f"event-ruler/5 {kind}: refused: {error}")
        continue
    if matched != 1:
        print(f"event-ruler/5 {kind}: takes {matched} of them instead of 1")
        continue
    turns = []
    for _ in range(20):
        begun = time.perf_counter()
        for _ in range(events // 20):
            for pattern in patterns:
                event_ruler.test_event_pattern(event, pattern)
        turns.append((time.perf_counter() - begun) / (events // 20))
    median = statistics.median(turns)
    print(f"event-ruler/5 {kind}, from text: {median * 1e6:.1f} µs, {1 / median:,.0f} events a second")
