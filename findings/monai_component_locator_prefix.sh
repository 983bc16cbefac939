#!/usr/bin/env bash
# MONAI 1.6.1: one short `_target_` makes ConfigParser look into every loaded module whose name *begins* with "monai".
#
# Guess before the run: names without a path are looked up in the package `monai` alone.
# Seen (monai 1.6.1, torch 2.13.0): `ComponentLocator` takes all of `sys.modules` whose names start with "monai", so
# another distribution such as `monai_other` is searched as well, and `inspect.getmembers` asks for each name that its
# `__dir__` tells. A package that provides names lazily (PEP 562) has all of them imported by that, and one that
# cannot be imported (an optional dependency that is missing) makes an unrelated configuration fail.
# ConfigParser(excludes=...) leaves modules out.
#
# Needs no data; installs into a temporary folder (1.2 GB); exit code 1 when the behaviour is no longer this one.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check "torch==2.13.0" "monai==1.6.1" "numpy<3"
mkdir "$folder/monai_other"
cat > "$folder/monai_other/__init__.py" <<'PY'
"""Not a part of MONAI: provides one name lazily, whose module needs a library that is not installed."""
ASKED = []


def __dir__():
    return ["ASKED", "OptionalThing"]


def __getattr__(name):
    if name == "OptionalThing":
        ASKED.append(name)
        raise ImportError("OptionalThing needs a library that is not installed")
    raise AttributeError(name)
PY
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PY'
import monai
import monai_other
from monai.bundle import ConfigParser

config = {"thing": {"_target_": "Identity"}}


def outcome(**options):
    try:
        return type(ConfigParser(config, **options).get_parsed_content("thing")).__module__
    except Exception as error:
        return f"{type(error).__name__}: {error}"


print("monai", monai.__version__)
whole = outcome()
asked = len(monai_other.ASKED)
without = outcome(excludes=["monai_other"])
print("a short _target_:", whole, "| lazy name asked for:", asked, "times")
print("with excludes:", without, "| asked for again:", len(monai_other.ASKED) - asked, "times")
seen = asked > 0 and "OptionalThing needs a library" in whole and without.startswith("monai.")
seen = seen and len(monai_other.ASKED) == asked
raise SystemExit(0 if seen else 1)
PY
echo "behaviour as described"
