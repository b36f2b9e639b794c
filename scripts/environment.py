"""Make this checkout's environment from nothing but Python 3.11 or newer: ``.venv`` as ``uv.lock`` has it.

uv does the work. Where it is not installed, its wheel is taken from the address that the lock file gives for it,
checked against the lock file's hash, and unpacked to ``.uv/``: no pip, no venv module, no compiler is needed.

    python3 scripts/environment.py           make or update .venv
    python3 scripts/environment.py --debian  also install what only Debian has (redis-server, Chromium), as root
"""

from __future__ import annotations

import hashlib
import io
import os
import platform
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OWN_UV = ROOT / ".uv" / "uv"
DEBIAN = {
    "redis-server": ("redis-server", "the tests with Debian's Redis; they run with the wheel's instead"),
    "chromium": ("chromium", "the tests of the local Slack's page"),
}
"""Program, the Debian package that has it, and what is left out without it."""


def main() -> None:
    """Do it."""
    if sys.version_info < (3, 11):
        found = f"{sys.executable} is {platform.python_version()}"
        sys.exit(f"operator needs Python 3.11 or newer; {found}. Name another one: make PYTHON=python3.11 …")
    if "--debian" in sys.argv[1:]:
        debian()
    sync()


def sync() -> None:
    """Bring ``.venv`` to what the lock file says."""
    environment = dict(os.environ, UV_PYTHON_DOWNLOADS="never", UV_PROJECT_ENVIRONMENT=str(ROOT / ".venv"))
    environment.pop("VIRTUAL_ENV", None)
    command = [str(find_uv()), "sync", "--frozen", "--quiet", "--python", sys.executable]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    if done.returncode:
        sys.exit("the environment could not be made; uv's own words are above")


def find_uv() -> Path:
    """An installed uv, the one unpacked before, or a new one."""
    if OWN_UV.exists():
        return OWN_UV
    if found := shutil.which("uv"):
        return Path(found)
    return unpack_uv()


def unpack_uv() -> Path:
    """Fetch, check and unpack uv's wheel for this machine."""
    import tomllib  # noqa: PLC0415  not there before 3.11, which is checked first

    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    wheels = next(package["wheels"] for package in packages if package["name"] == "uv")
    wheel = next((wheel for wheel in wheels if suits(wheel["url"])), None)
    if wheel is None:
        sys.exit(f"uv has no wheel for {sys.platform} on {platform.machine()}; install uv by hand and run this again")
    print("fetching uv", file=sys.stderr)
    try:
        with urllib.request.urlopen(wheel["url"], timeout=120) as answer:  # noqa: S310  the lock file's address
            content: bytes = answer.read()
    except (urllib.error.URLError, TimeoutError) as error:
        sys.exit(f"uv could not be fetched ({error}); check the network, or install uv by hand and run this again")
    if f"sha256:{hashlib.sha256(content).hexdigest()}" != wheel["hash"]:
        sys.exit("the wheel of uv that arrived is not the one in uv.lock; nothing was installed")
    OWN_UV.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        member = next(name for name in archive.namelist() if name.endswith(("/scripts/uv", "/scripts/uv.exe")))
        partial = OWN_UV.with_suffix(".partial")
        partial.write_bytes(archive.read(member))
    partial.chmod(0o755)
    partial.replace(OWN_UV)
    return OWN_UV


def suits(wheel: str) -> bool:
    """Whether a wheel of that name is for this machine."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    if sys.platform == "darwin":
        return wheel.endswith("macosx_11_0_arm64.whl" if machine == "aarch64" else "macosx_10_12_x86_64.whl")
    libc = "manylinux_2_17" if platform.libc_ver()[0] == "glibc" else "musllinux"
    return f"_{machine}." in wheel and libc in wheel


def debian() -> None:
    """Install what is missing and only Debian has, or say what goes without."""
    missing = [program for program in DEBIAN if shutil.which(program) is None]
    if not missing:
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        packages = [DEBIAN[program][0] for program in missing]
        print("installing", *packages, file=sys.stderr)
        for command in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", *packages]):
            subprocess.run(
                ["apt-get", *command],  # noqa: S607  Debian's own, wherever it is
                env=environment,
                stdout=subprocess.DEVNULL,
                check=False,
            )
        missing = [program for program in missing if shutil.which(program) is None]
    for program in missing:
        package, without = DEBIAN[program]
        print(f"left out: {without} (no {program}; as root: apt-get install {package})", file=sys.stderr)
    if missing and os.environ.get("CI") == "true":
        sys.exit("with CI=true nothing may be left out: install what is missing, or run it without CI=true")


if __name__ == "__main__":
    main()
