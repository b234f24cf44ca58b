"""Pictures that people send: judged, re-encoded apart from us, and only then kept.

    check.py      what may come in, and the rule that each refusal names (pure)
    reencode.py   decodes and encodes anew: pixels survive, everything else is left behind
    child.py      runs `reencode` in a process of its own that cannot use much memory, time or anything else
    workshop.py   starts those processes, few at a time, and ends them

Errors: `PhotoRefused` (the picture's sender acts), `WorkshopBusy` (the same picture may succeed in a moment).
"""
