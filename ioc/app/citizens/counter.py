"""The citizens' counter of this process: its parts, put together."""

from ioc.api.application import Counter
from ioc.api.intake import Intake, IntakeLimits
from ioc.api.ports import Incidents
from ioc.app.citizens.citizen_desk import CitizenDesk
from ioc.app.citizens.public_board import PublicBoard
from ioc.app.citizens.public_requests import StoredRequests
from ioc.app.citizens.report_desk import ReportDesk
from ioc.app.core import Core
from ioc.app.photos import StoredPhotos
from ioc.app.privacy import read_key
from ioc.app.sealing import Seal
from ioc.ingest.ports import Addresses


def open_counter(core: Core, incidents: Incidents, photos: StoredPhotos, addresses: Addresses) -> Counter:
    """Return the counter. Every process of an installation needs the same key of contacts."""
    settings = core.settings.citizens
    key = read_key(core.settings.contact_key_file)
    seal = Seal(key)
    desk = CitizenDesk(
        core.api_pool,
        log=core.log,
        incidents=incidents,
        pictures=photos,
        policies=core.desk.policies,
        ward_of=core.directory.ward_of,
        bounds=core.settings.bounds,
        seal=seal,
        per_contact=settings.per_contact_day,
        addresses=addresses,
    )
    limits = IntakeLimits(
        free=settings.free_per_hour,
        most=settings.most_per_hour,
        looks=settings.looks_per_minute,
        bits=settings.work_bits,
        partner=settings.per_partner_minute,
    )
    return Counter(
        citizens=desk,
        reports=ReportDesk(core.api_pool, seal),
        board=PublicBoard(core.api_pool),
        requests=StoredRequests(core.api_pool, core.desk.policies),
        intake=Intake(limits, seal.recognise("challenges")),
        jurisdiction=settings.jurisdiction,
    )
