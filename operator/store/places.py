"""Where configuration, stores and keys are: flags, environment, defaults, old places (spec operator-cli 2.1)."""

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from gossamer.operator.failure import Failure

CONTEXT_FILE = "nsc.json"


class PlaceFlags(Struct, frozen=True, kw_only=True):
    """The global flags that name folders; empty: not given."""

    all_dirs: str = ""
    config_dir: str = ""
    data_dir: str = ""
    keystore_dir: str = ""


class Places(Struct, frozen=True, kw_only=True):
    """The folders of one command. ``stores_given``: a flag named it, so no context file may say otherwise."""

    config: Path
    stores: Path
    keys: Path
    stores_given: bool = False

    @property
    def context_file(self) -> Path:
        """``nsc.json``, shared with nsc."""
        return self.config / CONTEXT_FILE


def resolve_places(flags: PlaceFlags, environment: Mapping[str, str]) -> Places:
    """Find the three folders; none needs to exist. Raises Failure when the environment names no home at all."""
    return Places(
        config=_config_folder(flags, environment),
        stores=_stores_folder(flags, environment),
        keys=_keys_folder(flags, environment),
        stores_given=bool(flags.data_dir or flags.all_dirs),
    )


def _config_folder(flags: PlaceFlags, environment: Mapping[str, str]) -> Path:
    given = flags.all_dirs or flags.config_dir or environment.get("NSC_HOME", "")
    if given:
        return _folder(given)
    standard = _base(environment, "XDG_CONFIG_HOME", ".config") / "nats" / "nsc"
    legacy = _home(environment) / ".nsc"
    if not (standard / CONTEXT_FILE).is_file() and (legacy / CONTEXT_FILE).is_file():
        return legacy
    return standard


def _stores_folder(flags: PlaceFlags, environment: Mapping[str, str]) -> Path:
    given = flags.all_dirs or flags.data_dir
    if given:
        return _folder(given)
    standard = _base(environment, "XDG_DATA_HOME", ".local/share") / "nats" / "nsc" / "stores"
    legacy = _home(environment) / ".nsc" / "nats"
    return legacy if not standard.is_dir() and legacy.is_dir() else standard


def _keys_folder(flags: PlaceFlags, environment: Mapping[str, str]) -> Path:
    given = flags.all_dirs or flags.keystore_dir or environment.get("NKEYS_PATH", "")
    if given:
        return _folder(given)
    standard = _base(environment, "XDG_DATA_HOME", ".local/share") / "nats" / "nsc" / "keys"
    legacy = _home(environment) / ".nkeys"
    return legacy if not standard.is_dir() and legacy.is_dir() else standard


def _folder(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _base(environment: Mapping[str, str], variable: str, default: str) -> Path:
    given = environment.get(variable, "")
    return _folder(given) if given else _home(environment) / default


def _home(environment: Mapping[str, str]) -> Path:
    home = environment.get("HOME", "")
    if home:
        return Path(home).absolute()
    try:
        return Path.home()
    except RuntimeError:
        raise Failure(
            "there is no home folder",
            code="no-home",
            hint="set HOME, or name the folders with -H, or --config-dir, --data-dir and --keystore-dir",
        ) from None
