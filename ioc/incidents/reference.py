"""The page on incidents for people: drawn from the tables that the machine runs by."""

from typing import Final

from ioc.incidents.commands import GUARDS, TRANSITIONS, Op
from ioc.incidents.policies import ClockPolicy, GroupingPolicy
from ioc.incidents.proof_policy import ProofPolicy
from ioc.incidents.shift import SHIFT_GUARDS
from ioc.incidents.shipped_procedures import SHIPPED
from ioc.model.incidents import OPEN_HANDLINGS, Handling, PauseReason

_HEAD: Final = """\
# Incidents: from alarm to closed case

Written by `python -m ioc.app.pages.incidents` from the tables that the state machine runs by.

An incident has a *condition*, which the world decides (`active`, `cleared`), and a *handling*, which
people decide. Resolving an incident does not clear the road, and a jam that has dissolved still waits for
whoever took it up. Only what nobody has taken up or noted on closes itself, 10 minutes after it cleared
(`rules.close_returned_s`): never a critical one, one with a legal clock (a citizen is owed an answer), or one
of whose members one goes on.

## Handling
"""
_BELOW: Final = """\
The other commands leave the handling as it is.

Every command carries `expect_rev`, the revision its author saw, and `idem`, a key of their own. A
repeat under the same key is answered with the present state, another command under the same key with
409; so is a command on an incident that has changed meanwhile. Each 409 carries the present state
(`current`).
"""
_PROCEDURES: Final = """\
## Procedures

The policy `procedures` holds checklists. The most particular that fits an incident (its rule before its
category before its severity) is its own from its first revision on; as long as nobody has begun with it, a
change of severity may bring another. A later version of the policy changes nothing for an incident that has
begun: it names its text by digest, and every text that was ever in force is kept.

A step is confirmed, answered (`choice`), told in words (`note`) or shown (`photo`). `when` makes it part of a
branch: it is due only where an earlier step was answered so. Doing it again corrects it. D is refused
(`steps_open`) while a required step is open, unless a supervisor or administrator gives `override`, a reason.
Skipping a required step, and overriding, escalate to level 1 and are told to every supervisor, whoever else
is told. What is merged follows its head; `GET /incidents/{id}/procedure` shows that one's. G begins anew.

```yaml
procedures:                       # ioc policies show procedures > p.yaml; ioc policies push procedures p.yaml
  - title: {vi: Cháy, en: Fire}
    category: fire                # or rules: [fire-smoke], severity: critical
    steps:
      - {id: real, text: {vi: "Có cháy không?", en: "Is there fire?"}, kind: choice,
         choices: [{id: "yes", text: {vi: Có, en: "Yes"}}, {id: "no", text: {vi: Không, en: "No"}}]}
      - {id: call, text: {vi: Gọi 114, en: Call 114}, when: {step: real, answer: "yes"}, link: /help/114}
      - {id: told, text: {vi: Ghi kết quả, en: Note the outcome}, kind: note, required: false}
```

Shipped:
"""
_SHIFTS: Final = """\
## Shift hand-over

One shift runs at a time, and has a lead (role supervisor or administrator). `start` by the lead, or by
whoever takes over in their place for a stated reason, puts on a list: every open incident, what is shelved,
what waits for another ward's answer, silent equipment (its case closed or not), and disabled rules. The
incoming lead opens the list and accepts or questions each item, singly or a selection; `accept_rest` takes
only what was on the list at the revision they saw. What arises meanwhile is added within seconds; what grows
more severe or comes back has to be decided again; what ends needs no decision. `pass` works once nothing is
left undecided, and begins the next shift. No clock of any incident stands still meanwhile.

The report, as JSON and as a page to print, is kept as it was written; its SHA-256 stands in the audit log
(area `city`). `GET /shifts`, `/shifts/current`, `/shifts/{id}/report?format=html&lang=vi`, `ioc shifts`.

A refused command names the rule:

"""
_GROUPING: Final = """\
## Grouping

Alarms of one happening become one incident, its *head*; the others are *merged* into it from their
first revision on and raise no alarm of their own. The head counts them (`members`, `members_active`),
`GET /incidents/{id}/members` lists them, L undoes each.

Grouped are only incidents of one ward; never into one that is less severe, finished, shelved or full
(`max_members`): where more would join than there is room for, the newest alarm and the oldest do. A
member that grows more severe than its head stands for itself again. A head closes itself only when no
member goes on. The decision falls in the transaction that stores the alarm and depends on stored
incidents only: a replay groups alike.
"""
_PROOF: Final = """\
## Proof

What raised an incident has the last word on whether it is over. Resolved and closed incidents are watched by
the policy `proof`: one that still goes on `persists` after it was resolved is opened again (G, by
`system:proof`, with a note), and so is one whose alarm comes back (same rule and key, same ward, within the
`metres` of the policy `grouping`, not more severe) within `returns`: the new alarm then becomes part of it.
No clock starts again, every supervisor is told (`result_disproved`), and reporters see `reopened`. What was
rejected is not watched: whoever rejects an alarm says that there is nothing.
`ioc_incident_disproved_total` counts both; the figure `reopened_share` shows whose results do not last.

The most particular row that states a time decides: a rule before a category before every one; `0s` says
never. `enabled: false` switches it off. Shipped:

| for | still goes on after | comes back within |
| --- | --- | --- |
"""
_ROUTING: Final = """\
## Routing

The ward comes from the boundaries in force on the day (`ioc areas import`; `valid_from`, `valid_to`,
the first day out; two of one code may not be in force together), the team from the authority table
(policy `authority`): a row with category and wards decides before one with the category, that before
one with wards, that before `fallback`. `ioc policies preview --authority FILE --areas FILE` and `POST
/policies/preview` say what another table or other boundaries would change for the open incidents, and
which would belong to no ward.
"""
_CLOCKS: Final = """\
## Clocks

Three clocks run from detection: acknowledge, respond (work begins), resolve. A rule's own `clocks` come
first, then the most particular row of the policy `clocks`. `wd` are working days in Việt Nam: no
weekends, no public holidays (Tết, Hùng Kings, …), with `days_off` and `make_up_days` of the policy
`calendar`; each counts 24 hours, midnight to midnight, UTC+7. Handing over restarts the acknowledge
clock alone, with the time `accept`. Only the resolve clock can stand still, for one of these reasons:
"""
_ESCALATION: Final = """\
Escalation: a step is taken once, at its moment seen from the due date, as long as its clock runs; a
warning not before half of that clock has passed. It is a revision with `op: escalate`, which receivers
of notices can ask for.
"""
_FORECAST: Final = """\
`ioc forecast --hours 24` and `GET /forecast` name the wards about to miss due dates: each is taken to
work on what is due first, at the pace at which it resolved while it had work during the last 24 hours;
one that has resolved nothing and has not had the time for it yet, at that of all wards.
"""
_MEANING: Final[dict[Op, str]] = {
    Op.ACKNOWLEDGE: "somebody has seen it",
    Op.ASSIGN: "a person or team takes it",
    Op.START: "work begins: the first response",
    Op.RESOLVE: "done, and no required step open; `photo` may name a picture of the result",
    Op.CLOSE: "checked and filed",
    Op.REJECT: "a false alarm",
    Op.REOPEN: "it was not done; no clock starts again, its procedure does",
    Op.REROUTE: "handed over to another ward, its members with it; that ward has `accept` to answer",
    Op.ACCEPT: "the ward takes what was handed over; so does A, B, C or D there",
    Op.DECLINE: "back to the ward it came from",
    Op.MERGE: "part of another incident; people act on that one",
    Op.UNMERGE: "for itself again, in the handling it had",
    Op.SHELVE: "off the queue until a time, 24 hours ahead at most; no clock stops; any move ends it",
    Op.UNSHELVE: "back into the queue before its time",
    Op.PAUSE: "the resolve clock stands still, for one of the reasons below",
    Op.RESUME: "it runs again; the due date moves by exactly the time it stood",
    Op.INVOLVE: "a further agency joins in; the first one brings the longer time of the policy",
    Op.COMMENT: "nothing but a line in the history",
    Op.STEP: "a step of its procedure is done; its author is the `assignee` where there is none",
    Op.SKIP: "a step is left out for a reason; a required one is told to the supervisors (level 1)",
}


def render() -> str:
    """Return the page."""
    return "\n".join(
        [
            _HEAD,
            _diagram(),
            _BELOW,
            _transitions(),
            _guards(),
            _procedures(),
            _shifts(),
            _GROUPING,
            _correlations(),
            _proof(),
            _ROUTING,
            _clocks(),
        ]
    )


def _diagram() -> str:
    """Draw the table: one arrow per pair of handlings, with the letters of the commands that take it."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for op, transition in TRANSITIONS.items():
        target = "open" if op is Op.UNMERGE else transition.target
        if target is None:
            continue
        moved = transition.sources - transition.keeps
        all_open = moved == OPEN_HANDLINGS
        for source in ["open"] if all_open else [h for h in Handling if h in moved]:
            arrows.setdefault((source, target), []).append(transition.letter)
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> new", "    state open {"]
    lines += [f"        {handling}" for handling in Handling if handling in OPEN_HANDLINGS]
    lines += ["    }"]
    lines += [f"    {source} --> {target}: {', '.join(by)}" for (source, target), by in arrows.items()]
    return "\n".join([*lines, "```"]) + "\n"


def _transitions() -> str:
    rows = ["| | command | from | to | needs | |", "| --- | --- | --- | --- | --- | --- |"]
    for op, transition in TRANSITIONS.items():
        sources = [handling for handling in Handling if handling in transition.sources]
        origin = "any" if len(sources) == len(Handling) else ", ".join(sources)
        origin = "open" if transition.sources == OPEN_HANDLINGS else origin
        target = "as it was" if op is Op.UNMERGE else (transition.target or "–")
        if transition.keeps:
            target += f" ({', '.join(h for h in Handling if h in transition.keeps)} stay)"
        needs = ", ".join(f"`{name}`" for name in sorted(transition.needs)) or "–"
        rows.append(f"| {transition.letter} | `{op}` | {origin} | {target} | {needs} | {_MEANING[op]} |")
    return "\n".join(rows) + "\n"


def _guards() -> str:
    lines = ["### Refusals", "", "A refused command names the rule (`errors[0].rule`):", ""]
    lines += [f"- `{rule}`: {text}" for rule, text in GUARDS.items()]
    return "\n".join(lines) + "\n"


def _procedures() -> str:
    rows = [_PROCEDURES, "| procedure | for | steps (\\* required) |", "| --- | --- | --- |"]
    for procedure in SHIPPED:
        names = ", ".join(f"`{rule}`" for rule in procedure.rules or (procedure.category,))
        steps = ", ".join(
            f"`{step.id}`"
            + (r"\*" if step.required else "")
            + (f" (where `{step.when.step}` is `{step.when.answer}`)" if step.when else "")
            for step in procedure.steps
        )
        rows.append(f"| {procedure.title.vi} / {procedure.title.en} | {names} | {steps} |")
    return "\n".join(rows) + "\n"


def _shifts() -> str:
    return _SHIFTS + "".join(f"- `{rule}`: {text}\n" for rule, text in SHIFT_GUARDS.items())


def _correlations() -> str:
    policy = GroupingPolicy()
    lines = [
        f"Shipped (policy `grouping`): one category within {policy.metres} m and {policy.within}, and",
        "",
    ]
    for item in policy.correlations:
        what = ", ".join(f"`{name}`" for name in (*item.rules, *item.categories))
        where = "anywhere in the ward" if item.metres is None else f"within {item.metres} m"
        heads = f", led by {' or '.join(f'`{name}`' for name in item.heads)}" if item.heads else ""
        lines.append(f"- `{item.name}`: {what}, {where} and {item.within}, from {item.at_least} on{heads}")
    return "\n".join([*lines, "", "`enabled: false` switches grouping off.", ""])


def _proof() -> str:
    rows = ProofPolicy().rows
    cells = [(row.rule or row.category, row.persists or "–", row.returns or "–") for row in rows]
    return _PROOF + "".join(f"| `{name}` | {persists} | {returns} |\n" for name, persists, returns in cells)


def _clocks() -> str:
    policy = ClockPolicy()
    lines = [_CLOCKS, *(f"- `{reason}`" for reason in PauseReason), ""]
    lines += [
        "| category | severity | acknowledge | respond | resolve | several agencies |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in policy.rows:
        cells = (row.category, row.severity, row.acknowledge, row.respond, row.resolve, row.resolve_several)
        lines.append("| " + " | ".join(str(cell) if cell else "–" for cell in cells) + " |")
    lines += ["", f"Shipped `accept`: {policy.accept}.", "", _ESCALATION]
    lines += ["| clock | at | to | level |", "| --- | --- | --- | --- |"]
    lines += [f"| {step.clock} | {step.at} | {step.to} | {step.level} |" for step in policy.steps]
    return "\n".join([*lines, "", _FORECAST])
