"""What the operator rules for verifications, and the keys of macs and seals."""

import dataclasses

from trunkline.verify.options import VerifyOptions
from trunkline.verify.passcodes import Seals
from trunkline.verify.routes import Routes


@dataclasses.dataclass(frozen=True, slots=True)
class VerifyPolicy:
    options: VerifyOptions
    seals: Seals
    routes: Routes
