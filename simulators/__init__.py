"""A simulated city that speaks the service's public protocols only.

The core (`city`, `fleet`, `steps`, `scenario`, `unfold`, `rhythm`, `weather`, `faults`, `world`, `truth`,
`score`, `crew`, `picture`, `tracker`) is pure: the same arguments give the same bytes. `live`, `senders`,
`load`, `raised`, `crew_client`, `snapshots` and `cli` add the clock and the wires. `sumo` puts a traffic
simulation behind the devices.

Errors: `SimulatorError` and below it `FleetError` (a device or area file), `SumoError` (SUMO, or what it is
given), `ScenarioError` (a scenario file, with its line), `KeysError` (the keys file) and `RaisedError`
(incidents to score). All are the caller's to mend.
"""


class SimulatorError(Exception):
    """Something given to the simulator is wrong; the message says what and where."""
