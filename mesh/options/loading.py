"""Arguments and file to options: the whole pipeline in one place (spec configuration section 1).

``load`` is for those who want options or an exception; ``assess`` tells everything and raises nothing. Neither touches
anything but the reader and the environment it is given.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, structs

from gossamer.auth.settings import ResolverSettings
from gossamer.mesh.options.baseline import build
from gossamer.mesh.options.flags import FlagExit, Flags, parse_flags
from gossamer.mesh.options.help import written
from gossamer.mesh.options.language.digest import digest
from gossamer.mesh.options.language.faults import ConfigurationError, Fault
from gossamer.mesh.options.language.reading import Reader, parse_file, read_from_disk
from gossamer.mesh.options.options import Options
from gossamer.mesh.options.processing import Processing
from gossamer.mesh.options.validation import notices, validate


class Loaded(Struct, frozen=True, kw_only=True):
    """What came of it. ``options`` is there as far as the file could be understood, also beside faults, so that
    everything can be looked at; a node starts only if ``faults`` is empty. ``digest`` is ``sha256:<hex>``."""

    options: Options = Options()
    warnings: tuple[Fault, ...] = ()
    faults: tuple[Fault, ...] = ()
    digest: str = ""
    notices: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What nats-server prints when it refuses to start: warnings first; of the faults found at start the first."""
        shown = [fault.text for fault in self.warnings]
        early = [fault.text for fault in self.faults if not fault.at_start]
        late = [fault.text for fault in self.faults if fault.at_start]
        return "\n".join(shown + (early or late[:1]))


class FaultyConfiguration(ConfigurationError):
    """A configuration that a node cannot start with; ``loaded`` has all that is wrong with it."""

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(loaded.text)
        self.loaded = loaded


def load(
    arguments: Sequence[str], *, reader: Reader = read_from_disk, environment: Mapping[str, str] | None = None
) -> Options:
    """The options for a command line. Raises FaultyConfiguration (a ValueError); warnings are let pass."""
    flags = parse_flags(arguments)
    if isinstance(flags, FlagExit):
        text = (flags.stderr or flags.stdout).strip().removeprefix("nats-server: ")
        raise FaultyConfiguration(Loaded(faults=(Fault(text=text),)))
    loaded = assess(flags, reader=reader, environment=environment)
    if loaded.faults:
        raise FaultyConfiguration(loaded)
    return loaded.options


def assess(flags: Flags, *, reader: Reader = read_from_disk, environment: Mapping[str, str] | None = None) -> Loaded:
    """Everything about the configuration that the flags and their file make. Raises nothing."""
    processing = Processing(reader)
    processing.switched_off = flags.off
    if "store_dir" in flags.values:
        processing.draft["store_dir"] = flags.values["store_dir"]  # a second one in the file is a fault
    sum_of_file = ""
    if flags.config:
        try:
            document = parse_file(
                flags.config, reader=reader, environment=os.environ if environment is None else environment
            )
        except ConfigurationError as error:
            fault = Fault(text=str(error), place=error.place, suggestion=error.suggestion)
            return Loaded(faults=(fault,))
        sum_of_file = digest(document)
        processing.run(document)
    faults = list(processing.faults)
    draft = _with_flags(processing.draft, flags, faults)
    _of_operator(draft, processing)
    users = draft.pop("authorization.users", ())
    options = build({**draft, "authorization.users": (*users, *processing.account_users)})
    options = structs.replace(options, config_file=flags.config, config_digest=sum_of_file)
    for place, text in processing.refusals:
        faults.append(Fault(text=text, place=place, at_start=True))
    told = {fault.text.removeprefix(f"{fault.place}: ") for fault in faults}
    late = validate(options, processing.places)
    faults.extend(fault for fault in late if fault.text not in told)
    return Loaded(
        options=options,
        warnings=tuple(fault for fault in faults if fault.warning),
        faults=tuple(fault for fault in faults if not fault.warning),
        digest=sum_of_file,
        notices=tuple(notices(options)),
    )


def _with_flags(draft: dict[str, Any], flags: Flags, faults: list[Fault]) -> dict[str, Any]:
    """Flags over the file. What they ask for in vain is added to the faults."""
    result = {**draft, **flags.values}
    for name, row in flags.waiting:
        assert row.waits_for is not None or row.block == "tls"
        why = row.waits_for.value if row.waits_for is not None else "TLS comes with a later release"
        faults.append(Fault(text=f'"{written(name)}" is not available yet ({why}); remove it to start', at_start=True))
    if flags.cluster is not None:
        result["cluster.port"] = flags.cluster.port
        result["cluster.host"] = flags.cluster.host
        result["cluster.user"], result["cluster.password"] = flags.cluster.user, flags.cluster.password
    if flags.routes is not None:
        result["cluster.routes"] = flags.routes
        if flags.routes and not result.get("cluster.port"):
            text = "solicited routes require cluster capabilities, e.g. --cluster"
            faults.append(Fault(text=text, at_start=True))
    return result


def _of_operator(draft: dict[str, Any], processing: Processing) -> None:
    """A single operator's JWT names the system account and the server of accounts, unless the file does."""
    if len(processing.operator_claims) != 1:
        return
    operator = processing.operator_claims[0]
    if not draft.get("authorization.system_account") and operator.system_account:
        draft["authorization.system_account"] = operator.system_account
    url = operator.account_server_url
    if draft.get("authorization.resolver") is None and url.lower().startswith(("http://", "https://")):
        draft["authorization.resolver"] = ResolverSettings(kind="url", url=f"{url}/accounts/")
