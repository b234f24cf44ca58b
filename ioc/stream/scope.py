"""What a person may see: every ward, or some."""

import hashlib

import msgspec


class Scope(msgspec.Struct, frozen=True):
    """`wards` None sees everything; otherwise only those wards, and nothing that belongs to no ward."""

    wards: frozenset[str] | None = None

    def allows(self, ward: str | None) -> bool:
        """Return whether something of `ward` may be shown."""
        return self.wards is None or (ward is not None and ward in self.wards)

    def stamp(self, epoch: str) -> str:
        """Return the epoch as this scope's clients know it.

        A position is valid only for the scope it was reached in: a client whose wards changed, or another
        person at the same browser, must start from a snapshot.
        """
        if self.wards is None:
            return epoch
        digest = hashlib.blake2b("\x00".join(sorted(self.wards)).encode(), digest_size=6).hexdigest()
        return f"{epoch}~{digest}"


EVERYTHING = Scope()
