"""The city's traffic from SUMO, a real traffic simulation, behind the devices of the fleet.

`city` puts it together over the port in `traffic`; `snap`, `measure`, `jams`, `demand`, `closures` and
`roads` are pure. `engine` drives SUMO, `network` makes networks with its programs.

Errors: `SumoError`, which ends with what to do next.
"""

from simulators import SimulatorError


class SumoError(SimulatorError):
    """SUMO is missing, a file given to it is of no use, or the network fits no device."""
