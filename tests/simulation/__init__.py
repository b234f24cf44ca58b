"""The whole pipeline under faults, replayable from a seed.

    devices ─► ingest ─► log in memory ─┬─► store ──────► history        ┐
                                        ├─► rules ─┬────► incidents, feed ├ real PostgreSQL
                                        │          └► ioc.wide ─► wide ───┘
                                        └─► the same rules again, without faults: must come to the same

One seed decides what devices send, which process works next, what goes wrong and where (`faults.py` is the
table), how the clock goes, when rules are pushed and when overload begins. What runs is the service's own
code: `IngestService`, `MemoryLog`, `StoreWorker`, `RulesWorker`, `WideRulesWorker`, `FeedSource`. Only one
host works at a time, from one poll of its log to the next, and every clock is ours, so that a seed gives the
same trace each time.

PostgreSQL is the real one because what is to be proved lies in its transactions: the fence, the position
beside the effects, locks, triggers, the partial index of open episodes, the feed's counter. Behind the
functions that the workers call are some thirty statements; a copy of them in memory would prove itself.

    pytest tests/simulation                                  some seeds, and every planted fault is found
    python -m tests.simulation --seeds 20000 --json          nightly; progress on standard error
    python -m tests.simulation --from 4711 --seeds 1 --trace one seed again, step by step
    python -m tests.simulation --seeds 50 --bug NAME         with one of the faults of `planted.py`

What must hold afterwards: `ledger.py` for what devices were answered, `invariants.py` for all else. A seed
means something for one version of this package only: whoever changes what is drawn, changes all of them.
"""
