"""`make install` on a clean machine: what is where, whose it is, what is refused, and that failing changes nothing."""

import stat
from pathlib import Path

import pytest

from tests.support.booted import CHECKOUT, Machine
from tests.systemd import checkout
from tests.systemd.checkout import make
from tests.systemd.service import ETC, PROGRAM

VERSION = next(
    line.split('"')[1] for line in (CHECKOUT / "pyproject.toml").read_text().splitlines() if line.startswith("version")
)
# In tenths: what `systemd-analyze security` may say at most.
EXPOSURE = "13"
UNITS = ("price-stream.service", "price-stream@one.service")


def test_install_puts_a_release_into_force_and_links_the_command(installed: Machine) -> None:
    assert checkout.release(installed) == VERSION
    assert installed.run("pricestreamd", "--version").stdout == f"pricestreamd {VERSION}\n"
    # The interpreter is one that the service may see, and everything is compiled: it could not do that itself.
    python = (installed.root / f"opt/price-stream/releases/{VERSION}/bin/python").resolve()
    assert "/root/" not in str(python)
    site = next(
        (installed.root / f"opt/price-stream/releases/{VERSION}").glob("lib/python*/site-packages/pricestreamd")
    )
    assert list(site.glob("model/__pycache__/*.pyc"))


def test_install_makes_a_user_and_a_configuration_that_only_its_group_reads(installed: Machine) -> None:
    assert installed.run("getent", "passwd", "price-stream").stdout.split(":")[5:] == [
        "/var/lib/price-stream",
        "/usr/sbin/nologin\n",
    ]
    assert installed.run("stat", "-c", "%U:%G %a", ETC, ETC / "config.yaml").stdout.split("\n")[:2] == [
        "root:price-stream 750",
        "root:price-stream 640",
    ]


def test_the_first_configuration_lacks_a_key_and_nothing_else(installed: Machine) -> None:
    sample = "/opt/price-stream/current/share/price-stream/minimal.yaml"
    done = installed.run("pricestreamd", "check", sample, check=False)

    assert done.returncode == 78
    assert done.stderr.count("\n") == 1
    assert "the environment has no WEBSOCKET_API_KEY" in done.stderr


def test_install_again_changes_nothing_and_keeps_the_configuration(installed: Machine) -> None:
    config = installed.root / "etc/price-stream/config.yaml"
    config.write_text("mine: true\n")

    again = make(installed, "install")

    assert f"release {VERSION} is there already" in again.stdout
    assert "is yours and stays as it is" in again.stdout
    assert config.read_text() == "mine: true\n"
    assert [path.name for path in (installed.root / "opt/price-stream/releases").iterdir()] == [VERSION]


def test_install_brings_manual_and_completion(installed: Machine) -> None:
    for page, section, said in (("pricestreamd", "8", "EXIT STATUS"), ("pricestreamd.yaml", "5", "feeds.NAME.api_key")):
        path = Path(installed.run("man", "--where", section, page).stdout.strip())
        shown = installed.run("man", "--warnings=all", "--local-file", path, LANG="C.UTF-8", MANWIDTH="100")
        assert said in shown.stdout
        assert shown.stderr == ""
    bash = "source /usr/local/share/bash-completion/completions/pricestreamd && complete -p pricestreamd"
    assert "_shtab_pricestreamd" in installed.run("bash", "-c", bash).stdout
    zsh = installed.root / "opt/price-stream/current/share/zsh/site-functions/_pricestreamd"
    assert (
        "#compdef pricestreamd" in installed.run("cat", "/usr/local/share/zsh/site-functions/_pricestreamd").stdout
    ), zsh


def test_systemd_finds_nothing_wrong_in_the_units(installed: Machine) -> None:
    for unit in UNITS:
        checked = installed.run("systemd-analyze", "verify", unit)
        assert (checked.stdout, checked.stderr) == ("", "")


def test_the_units_expose_little_loaded_and_offline(installed: Machine) -> None:
    for unit in UNITS:
        installed.run("systemd-analyze", "security", f"--threshold={EXPOSURE}", "--no-pager", unit)
    for path in (installed.root / "usr/local/lib/systemd/system").glob("price-stream*.service"):
        inside = f"/usr/local/lib/systemd/system/{path.name}"
        installed.run("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", inside)


def test_enable_starts_it_at_the_next_boot_and_disable_does_not(installed: Machine) -> None:
    wanted = installed.root / "etc/systemd/system/multi-user.target.wants/price-stream.service"

    installed.run("systemctl", "enable", "price-stream")
    assert wanted.is_symlink()
    installed.run("systemctl", "disable", "price-stream")
    assert not wanted.is_symlink()


# --- what is refused


def test_install_needs_root_and_says_so(installed: Machine) -> None:
    done = installed.run(
        "setpriv", "--reuid=nobody", "--clear-groups", "make", "-C", checkout.SOURCE, "install", check=False
    )

    assert done.returncode != 0
    assert "needs root: sudo make install" in done.stderr


def test_install_names_each_python_that_will_not_do_and_why(installed: Machine) -> None:
    # The service cannot look into /root.
    installed.run("mkdir", "-p", "/root/python")
    installed.run("cp", "/usr/bin/python3", "/root/python/python3")

    for python, why in (("/root/python/python3", "where the service cannot look"), ("/bin/false", "does not run")):
        done = make(installed, "install", check=False, PYTHON=python)
        assert done.returncode != 0
        assert "no suitable Python" in done.stderr
        assert why in done.stderr


def test_an_install_that_fails_leaves_the_old_release_in_force(installed: Machine) -> None:
    source = Path("/srv/broken")
    checkout.put(installed, source, version="99.1.0")
    requirements = installed.root / "srv/broken/requirements/build.txt"
    requirements.write_text(requirements.read_text().replace("sha256:", "sha256:00"))

    done = make(installed, "install", source=source, check=False)

    assert done.returncode != 0
    assert f"failed; {VERSION} stays in force" in done.stderr
    assert checkout.release(installed) == VERSION
    releases = installed.root / "opt/price-stream/releases"
    assert [path.name for path in releases.iterdir()] == [VERSION]


def test_a_full_disk_leaves_the_old_release_in_force(installed: Machine) -> None:
    place = installed.root / "srv/full"
    place.mkdir()
    installed.run("mount", "-t", "tmpfs", "-o", "size=8m,mode=755", "small", "/srv/full")
    old = place / "opt/price-stream"
    (old / "releases/0.0.1").mkdir(parents=True)
    (old / "current").symlink_to("releases/0.0.1")

    done = make(installed, "install", check=False, DESTDIR="/srv/full")

    installed_now = (old / "current").readlink().name, [path.name for path in (old / "releases").iterdir()]
    installed.run("umount", "/srv/full")
    assert done.returncode != 0
    assert "the disk of /srv/full/opt/price-stream is full" in done.stderr
    assert "failed; 0.0.1 stays in force" in done.stderr
    assert installed_now == ("0.0.1", ["0.0.1"])


def test_two_installations_at_once_are_refused(installed: Machine) -> None:
    lock = "/opt/price-stream/.lock"

    done = installed.run(
        "flock", lock, "make", "-C", checkout.SOURCE, "install", f"WHEELS={checkout.WHEELS}", check=False
    )

    assert done.returncode != 0
    assert "another installation is at work" in done.stderr


def test_a_package_is_staged_below_destdir_and_nothing_else_is_touched(installed: Machine) -> None:
    # As a user who may write nothing but that folder. The release is built already: that takes a while.
    releases = "/srv/staged/opt/price-stream/releases"
    installed.run("mkdir", "-p", releases)
    installed.run("cp", "-a", f"/opt/price-stream/releases/{VERSION}", releases)
    installed.run("chown", "-R", "nobody", "/srv/staged")
    command = (
        "make",
        "-C",
        checkout.SOURCE,
        "install",
        f"WHEELS={checkout.WHEELS}",
        "DESTDIR=/srv/staged",
        "PREFIX=/usr",
    )
    installed.run("setpriv", "--reuid=nobody", "--clear-groups", *command, timeout=120)

    staged = installed.root / "srv/staged"
    assert (staged / "usr/bin/pricestreamd").readlink() == Path("/opt/price-stream/current/bin/pricestreamd")
    script = staged / f"opt/price-stream/releases/{VERSION}/bin/pricestreamd"
    assert script.read_text().startswith(f"#!/opt/price-stream/releases/{VERSION}/bin/python")
    assert stat.S_IMODE((staged / "etc/price-stream/config.yaml").stat().st_mode) == 0o640
    assert (staged / "usr/lib/systemd/system/price-stream.service").is_file()
    assert (staged / "usr/lib/sysusers.d/price-stream.conf").is_file()


@pytest.mark.parametrize("arguments", [("install", "DESTDIR=/srv/x"), ("upgade",), ()])
def test_the_script_refuses_what_it_does_not_know(installed: Machine, arguments: tuple[str, ...]) -> None:
    done = installed.run(checkout.SOURCE / "deploy/install.sh", *arguments, check=False)

    assert done.returncode == 64
    assert "deploy/install.sh install" in done.stderr


def test_program_and_unit_agree_where_it_is(installed: Machine) -> None:
    command = installed.show("price-stream.service", "ExecStart")["ExecStart"]
    assert f"path={PROGRAM} " in command
