"""How the secrets of a keystore are kept: in plain files as nsc does, sealed under a passphrase, recipients or the
system's keyring, handed in for one command, or away on another machine (spec operator-cli section 10.6)."""
