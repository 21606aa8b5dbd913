"""Meters from a table: `init --meters`, `config meters`, `config import`, `scan --meters`."""

from __future__ import annotations

import csv
import io
import itertools
import re
import unicodedata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from logger.cli import app
from logger.config import Config, load_config
from logger.config.write import bus_section
from logger.domain.datamodel import ROLES
from logger.domain.errors import ConfigError, ExportError, LoggerError
from logger.simulate import VirtualClock, VirtualLine, virtual_site
from tests.running import command
from tests.terminal import Terminal
from tests.test_scan import a_line, meter

TABLE = """\
name;model;address;role;cost_centre;slow
grid;PRO380;1;Grid;;
"Büro; 1. Stock";pro1;2;load;Flat 1;1,5min
=roof;pro380;3;pv;;
"""
SIXTY = "name,address,role\ngrid,1,grid\n" + "".join(f"flat-{n},{n},load\n" for n in range(2, 61))
NOON = 1_782_037_800.0


def run(*words: object) -> Result:
    """Run a command in this process; what it raises is raised."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(done.exception, LoggerError):
        raise done.exception
    return done


def made(directory: Path, table: str | bytes, *options: str) -> Config:
    """Return the configuration that `init` makes of a table."""
    file = directory / "meters.csv"
    file.write_bytes(table if isinstance(table, bytes) else table.encode())
    done = run("init", directory / "site", "--yes", "--no-docker", "--meters", file, *options)
    assert done.exit_code == 0, done.output
    return load_config(directory / "site" / "config" / "local.toml")


def shown(config: Config) -> list[dict[str, Any]]:
    return [bus.plain(given=True) for bus in config.bus]


def quoted(text: str, delimiter: str) -> str:
    """Return a table with every cell in quotes, between other separators."""
    out = io.StringIO()
    rows = csv.reader(io.StringIO(text), delimiter=";")
    csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(
        rows
    )
    return out.getvalue()


DIALECTS = {
    "as it is": TABLE.encode(),
    "a mark at the beginning": TABLE.encode("utf-8-sig"),
    "Windows-1252": TABLE.replace("\n", "\r\n").encode("cp1252"),
    "UTF-16 of Excel": quoted(TABLE, "\t").encode("utf-16"),
    "commas, all in quotes": quoted(TABLE, ",").encode(),
    "sep= of Excel": f"sep=;\r\n{TABLE}".encode(),
    "formulas marked": TABLE.replace("=roof", "'=roof").encode(),
    "empty lines and columns": (
        f"\n{TABLE}".replace("\n", ";;\n").replace("slow;;", "slow;;# floor") + ";;;;;;;\n"
    ).encode(),
    "sep= with separators behind": f"sep=;;;\r\n{TABLE}".encode(),
    "sep= in quotes, ends of old Macs": f'"sep=;"\n{TABLE}'.replace("\n", "\r").encode(),
    "decomposed accents": unicodedata.normalize("NFD", TABLE).encode(),
    "spaces that do not break, and unseen ones": (
        f"\ufeff\ufeff{TABLE}\u200b;\n".replace("Flat 1", "Flat\u00a01").encode()
    ),
    "heads as people write them": TABLE.replace("cost_centre", "Cost centre").encode(),
}  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_table_is_read_whatever_saved_it(dialect: str, tmp_path: Path) -> None:
    (bus,) = made(tmp_path, DIALECTS[dialect], "--port", "tcp://10.0.0.7:502").bus
    assert (bus.name, bus.port) == ("cabinet", "tcp://10.0.0.7:502")
    found = [(m.name, m.model, m.address, m.role, m.cost_centre, m.slow) for m in bus.meter]
    assert found == [
        ("grid", "pro380", 1, "grid", None, None),
        ("Büro; 1. Stock", "pro1", 2, "load", "Flat 1", 90.0),
        ("=roof", "pro380", 3, "pv", None, None),
    ]


def test_all_mistakes_of_a_table_are_told_at_once_and_nothing_is_written(tmp_path: Path) -> None:
    file = tmp_path / "meters.csv"
    file.write_text(
        "bus,port,name,model,adress,address,role,invert,fast\n"
        "a,tcp://h:502,grid,pro380,,1,grid,,\n"
        "a,tcp://other:502,flat,pro830,,2,laod,perhaps,5\n"
        "a,,flat,pro1,,1,load,,\n"
        "a,,flat-3,pro1,,300,load,,\n"
        "a,,,pro1,,4a,[bold]load[/],,\n"
        "b,gateway,flat-5,pro1,,5,load,,,more\n",
        encoding="utf-8",
    )
    done = command("init", str(tmp_path / "site"), "--yes", "--meters", str(file))
    assert done.returncode == 2
    told: dict[tuple[str, str], str] = {}
    for line in done.stderr.splitlines():
        if found := re.fullmatch(rf"{re.escape(str(file))}:(\d+): (?:(\w+): )?(.*)", line):
            told[found[1], found[2] or ""] = found[3]
    assert {place for place in told if place[0] != "1"} == {
        *(("3", column) for column in ("port", "model", "role", "invert", "fast")),
        *(("4", column) for column in ("name", "address")),
        ("5", "address"),
        *(("6", column) for column in ("name", "address", "role")),
        ("7", ""), ("7", "port"),
    }  # fmt: skip
    assert told["1", "adress"] == "unknown column"
    assert "did you mean 'address'?" in done.stderr
    assert "did you mean 'pro380'?" in done.stderr
    assert "did you mean 'load'?" in done.stderr
    assert "line 3 has it, too" in told["4", "name"]
    assert "'[bold]load[/]'" in told["6", "role"]
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (b"", "an empty table"),
        (b"1;2;3\n", "should name the columns"),
        (b"name;address;role\n", "no meter below"),
        (b"PK\x03\x04rest of a workbook", "a workbook, not CSV"),
        (b'name;address;role\n"a;1;grid\n', "not CSV"),
        (b"name;address;role\na;\x00;grid\n", "zero bytes"),
        (b"name;name;address;role\na;a;1;grid\n", "two columns are called so"),
        (b"name;role\na;grid\n", "address: there is no column of this name"),
        (b"name;serial;address;role\na;7;1;grid\nb;7;2;pv\n", "is that of line 2, too"),
        (b"name;serial;address;role\na;2,21E+07;1;grid\n", "'2,21E+07' was rounded"),
        (b"name;address;role;cost_centre\na;1;grid;#REF!\n", "'#REF!' is no value"),
        (b"bus;name;address;role\nx;a;1;grid\ny;b;1;pv\n", "port: there is no column"),
        (b"bus;name;address;role\nx;a;1;grid\ny;b;1;pv\n;c;2;load\n", "on which line is it?"),
    ],
)
def test_what_is_no_table_is_told_with_what_to_do(table: bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        made(tmp_path, table)
    assert not (tmp_path / "site").exists()


def test_what_many_rows_have_is_told_once(tmp_path: Path) -> None:
    table = SIXTY.replace(",load", ",flat")
    with pytest.raises(ConfigError) as told:
        made(tmp_path, table)
    assert "(lines 3 to 61)" in told.value.message
    assert told.value.message.count("'flat'") == 1


def test_sixty_meters_of_a_building_fit_their_lines(tmp_path: Path) -> None:
    made(tmp_path, SIXTY, "--port", "socket://127.0.0.1:4196", "--model", "pro1")
    file = tmp_path / "site" / "config" / "local.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text[: text.index("[influxdb]")], encoding="utf-8")
    done = command("config", "check", "--config", str(file))
    assert done.returncode == 0, done.stderr
    assert "60 meters" in done.stdout


def test_a_file_that_is_there_stays_and_the_way_to_change_it_is_told(tmp_path: Path) -> None:
    made(tmp_path, TABLE)
    with pytest.raises(ConfigError, match="stays as it is") as told:
        made(tmp_path, TABLE)
    assert "config import" in told.value.hint


@pytest.mark.parametrize("docker", ["--docker", "--no-docker"])
def test_a_port_that_no_row_names_is_asked_for(tmp_path: Path, docker: str) -> None:
    file = tmp_path / "meters.csv"
    file.write_text(SIXTY, encoding="utf-8")
    with Terminal("init", str(tmp_path / "site"), "--meters", str(file), docker) as screen:
        screen.answer("Name of the installation", "house")
        screen.answer("Time zone", "UTC")
        screen.answer("Port", "/dev/ttyS7")
        if docker == "--docker":
            screen.answer("Mail address", "")
            screen.answer("Address of Grafana", "")
        screen.wait_for("Next:")
        assert screen.end() == 0, screen.shown
    (bus,) = load_config(tmp_path / "site" / "config" / "local.toml").bus
    assert bus.port == ("/host/dev/ttyS7" if docker == "--docker" else "/dev/ttyS7")
    assert len(bus.meter) == 60


# Texts that CSV, TOML, a terminal or a spreadsheet could take for something else.
LETTERS = st.sampled_from(
    [*"abZ019 =+-@'\"`;,#[]{}<>&%$/\\|.:_", "ä", "ß", "é", "日", "🌞", "sep="]
)
NAMES = (
    st.lists(LETTERS, min_size=1, max_size=8)
    .map("".join)
    .map(lambda text: unicodedata.normalize("NFC", text))
    .filter(lambda text: text == text.strip() and not text.endswith("\\"))
)
DURATIONS = st.sampled_from(["500ms", "1.5s", "10s", "1h 30m", "2d", "1.25 min"])
METERS = st.fixed_dictionaries(
    {
        "name": NAMES, "role": st.sampled_from(ROLES),
        "model": st.sampled_from(["pro380", "pro1", "pro380-compact"]),
    },
    optional={
        "cost_centre": NAMES, "accept_model": st.booleans(), "invert": st.booleans(),
        "wiring": st.sampled_from(["3P4W", "3P3W", "1P2W"]), "fast": DURATIONS,
        "slow": st.just("30s"), "timeout": DURATIONS,
    },
)  # fmt: skip
MODBUS_BUSES = st.fixed_dictionaries(
    {"name": NAMES, "meter": st.lists(METERS, min_size=1, max_size=4)},
    optional={
        "protocol": st.just("modbus"), "baudrate": st.just(9600),
        "parity": st.sampled_from(["even", "odd", "none"]), "stopbits": st.sampled_from([1, 2]),
        "timeout": DURATIONS, "gap": DURATIONS, "longest_block": st.integers(8, 125),
        "shared": st.booleans(), "local_echo": st.sampled_from(["auto", True, False]),
        "rs485_rts": st.sampled_from(["off", "high", "low"]),
    },
)  # fmt: skip
MBUS_METERS = st.fixed_dictionaries(
    {"name": NAMES, "model": st.just("pro380-mb"), "role": st.sampled_from(ROLES)},
    optional={"secondary": st.from_regex(r"\A0[0-9]{7}\Z")},
)
MBUS_BUSES = st.fixed_dictionaries(
    {
        "name": NAMES,
        "protocol": st.just("mbus"),
        "meter": st.lists(MBUS_METERS, max_size=3, min_size=1),
    }
)


@st.composite
def sites(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Lines with meters of any names, each at an address of its own."""
    buses: list[dict[str, Any]] = draw(
        st.lists(st.one_of(MODBUS_BUSES, MBUS_BUSES), min_size=1, max_size=3)
    )
    names: set[str] = set()
    numbers = itertools.count(1)
    for number, bus in enumerate(buses):
        bus["port"] = f"socket://10.0.0.{number + 1}:4196"
        for one in (bus, *bus["meter"]):
            while one["name"] in names:
                one["name"] = f"{one['name'][:50]}{next(numbers)}"
            names.add(one["name"])
        places: set[str | None] = set()
        for address, one in enumerate(bus["meter"], start=1):
            if "secondary" in one and one["secondary"] in places:
                del one["secondary"]
            places.add(one.get("secondary"))
            if "secondary" not in one:
                one["address"] = address
    return buses


def toml(buses: list[dict[str, Any]]) -> str:
    rows = ["[site]", 'name = "home"']
    for bus in buses:
        rows += ["", *bus_section(bus)]
    return "\n".join(rows) + "\n"


@given(sites(), st.sampled_from([(), ("--decimal-comma",)]))
def test_what_goes_out_as_a_table_comes_in_again_equal(
    buses: list[dict[str, Any]], options: tuple[str, ...]
) -> None:
    with TemporaryDirectory() as place:
        directory = Path(place)
        config, table = directory / "my.toml", directory / "meters.csv"
        config.write_text(toml(buses), encoding="utf-8")
        before = shown(load_config(config))
        run("config", "meters", "--config", config, "--out", table, *options)
        printed = run("config", "meters", "--config", config, *options).stdout
        assert table.read_text(encoding="utf-8-sig") == printed
        assert shown(made(directory, table.read_bytes())) == before
        done = run("config", "import", table, "--config", config)
        assert done.stdout == "all is in the configuration already\n"
        for row in csv.reader(io.StringIO(printed), delimiter=";" if options else ","):
            assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row)


CONFIG = """\
# A building.
[site]
name = "home"

[[bus]]  # in the cellar
name = "north"
port = "tcp://10.0.0.1:502"  # by the door

# the utility's
[[bus.meter]]
name = "grid"
model = "pro380"
address = 1
role = "grid"

[[bus.meter]]
name = 'meter-2' # its display says "2"
model = "pro1"
address = 2
role = "load"
cost_centre = "Flat 1"

[[bus]]
name = "south"
port = "tcp://10.0.0.2:502"
[[bus.meter]]
name = "meter-3"
model = "pro1"
address = 2
role = "load"

[buffer]
path = "data/b.sqlite"
"""


def imported(directory: Path, table: str, text: str = CONFIG) -> tuple[str, str]:
    """Return the text of a configuration with a table in it, and what was told."""
    config, file, new = (directory / name for name in ("my.toml", "meters.csv", "new.toml"))
    config.write_text(text, encoding="utf-8")
    file.write_text(table, encoding="utf-8")
    done = run("config", "import", file, "--config", config, "--write", new)
    assert done.exit_code == 0, done.output
    assert config.read_text(encoding="utf-8") == text
    load_config(new)
    return new.read_text(encoding="utf-8"), done.stdout


def test_a_table_changes_only_what_it_says(tmp_path: Path) -> None:
    text, told = imported(
        tmp_path,
        "bus,name,model,address,role,cost_centre\n"
        "north,flat-1,pro1,2,load,\n"  # by its address: another name, no cost centre
        "south,meter-3,pro1,9,load,=Flat 3\n"  # by its name: another address
        "north,flat-4,pro1,4,load,Flat 4\n",
    )
    expected = CONFIG.replace("""'meter-2' #""", '"flat-1" #')
    expected = expected.replace(
        'cost_centre = "Flat 1"\n',
        '\n[[bus.meter]]\nname = "flat-4"\nmodel = "pro1"\naddress = 4\nrole = "load"\n'
        'cost_centre = "Flat 4"\n',
    )
    expected = expected.replace(
        'name = "meter-3"\nmodel = "pro1"\naddress = 2\nrole = "load"\n',
        'name = "meter-3"\nmodel = "pro1"\naddress = 9\nrole = "load"\ncost_centre = "=Flat 3"\n',
    )
    assert text == expected
    assert 'meter flat-1: name = "flat-1", no cost_centre' in told
    assert "meter flat-4: added to bus north" in told
    assert "without a row, as they were: grid" in told


def test_a_line_of_its_own_and_settings_of_lines_come_from_a_table_too(tmp_path: Path) -> None:
    text, told = imported(
        tmp_path,
        "bus;port;baudrate;bus_timeout;name;model;address;role\n"
        "west;tcp://10.0.0.3:502;4800;2s;shop;pro380;1;load\n"
        "south;tcp://10.0.0.9:502;;;meter-3;pro1;2;load\n",
    )
    config = load_config(tmp_path / "new.toml")
    assert [(bus.name, bus.port) for bus in config.bus] == [
        ("north", "tcp://10.0.0.1:502"),
        ("south", "tcp://10.0.0.9:502"),
        ("west", "tcp://10.0.0.3:502"),
    ]
    assert (config.bus[2].baudrate, config.bus[2].timeout) == (4800, 2.0)
    assert "bus west: added, with 1 meter\n" in told
    assert text.endswith('\n[buffer]\npath = "data/b.sqlite"\n')


def test_names_that_move_on_by_one_are_no_doubles(tmp_path: Path) -> None:
    text, _ = imported(tmp_path, "bus,name,address\nnorth,meter-2,1\nnorth,meter-9,2\n")
    first, second = load_config(tmp_path / "new.toml").bus[0].meter
    assert (first.name, first.role, second.name) == ("meter-2", "grid", "meter-9")
    assert "# the utility's" in text


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("name,model,address,role\nx,pro1,5,load\n", "on which line is it?"),
        ("bus,name,model,address,role\nnorth,meter-3,pro1,7,load\n", "'meter-3' is on bus 'south'"),
        ("bus,name,model,address,role\nnew,x,pro1,7,load\n", "port: there is no column"),
        ("bus,name,model,address,role\nNorth,x,pro1,7,load\n", "did you mean bus 'north'?"),
        ("name,cost_centre\nmeter-33,Flat\n", "did you mean 'meter-3'?"),
        ("bus,name,address\nnorth,x,7\n", "model: there is no column"),
        ("bus,name,model,address,role\nnorth,grid,pro380,2,grid\n", "name: two meters are called"),
    ],
)
def test_a_table_that_does_not_fit_changes_nothing(tmp_path: Path, table: str, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        imported(tmp_path, table)
    assert not (tmp_path / "new.toml").exists()


def test_a_configuration_in_another_style_is_left_to_its_author(tmp_path: Path) -> None:
    inline = (
        '[site]\nname = "home"\n[[bus]]\nname = "b"\nport = "tcp://h:502"\nmeter = [\n'
        '  { name = "a", model = "pro1", address = 1, role = "load" },\n]\n'
    )
    with pytest.raises(ConfigError, match="not written as sections"):
        imported(tmp_path, "name,address\nb,1\n", inline)
    assert not (tmp_path / "new.toml").exists()


def test_line_ends_and_comments_stay_with_what_they_are_of(tmp_path: Path) -> None:
    first = '[[bus.meter]]\nname = "grid"\n'
    south = '[[bus]]\nname = "south"\n'
    text = CONFIG.replace(first, first.replace('"grid"', "'''grid''' # the utility's"))
    text = text.replace("name = 'meter-2'", '\'name\' = """meter-2"""')
    text = text.replace(south, f"# in the shed\n{south}").replace(
        '"Flat 1"\n', '"Flat 1"\n# slow = "30s"  # of meter 2\n# fast = "1s"\n'
    )
    config, table, new = (tmp_path / name for name in ("my.toml", "t.csv", "new.toml"))
    config.write_bytes(text.replace("\n", "\r\n").encode())
    table.write_text(
        "bus,name,model,address,role,invert\nnorth,mains,pro380,1,grid,\n"
        "north,flat-2,pro1,2,load,yes\nnorth,flat-4,pro1,4,load,no\n",
        encoding="utf-8",
    )
    run("config", "import", table, "--config", config, "--write", new)
    expected = text.replace("'''grid'''", '"mains"').replace('"""meter-2"""', '"flat-2"')
    expected = expected.replace('"Flat 1"\n', '"Flat 1"\ninvert = true\n').replace(
        '# fast = "1s"\n',
        '# fast = "1s"\n\n[[bus.meter]]\nname = "flat-4"\nmodel = "pro1"\naddress = 4\n'
        'role = "load"\ninvert = false\n',
    )
    assert new.read_bytes() == expected.replace("\n", "\r\n").encode()


def test_a_comment_at_the_head_of_a_section_stays_there(tmp_path: Path) -> None:
    text = CONFIG.replace("\n\n[buffer]", "\n# where all is kept\n[buffer]")
    text, _ = imported(tmp_path, "bus,name,model,address,role\nsouth,new,pro1,7,load\n", text)
    assert "# where all is kept\n[buffer]\n" in text


def test_a_name_is_one_whatever_its_accents_and_spaces_are_made_of(tmp_path: Path) -> None:
    text = CONFIG.replace('"Flat 1"', '"B\u00fcro 1"').replace('"north"', '"No\u0308rd"')
    new, told = imported(
        tmp_path,
        "bus,name,address,cost_centre\nN\u00f6rd,meter-2,2,Bu\u0308ro\u00a01\n",
        text,
    )
    assert new == text
    assert "all is in the configuration already" in told


def test_a_key_of_a_line_goes_if_all_its_rows_leave_it_empty(tmp_path: Path) -> None:
    port = 'port = "tcp://10.0.0.1:502"  # by the door\n'
    text = CONFIG.replace(port, f"{port}longest_block = 29\n")
    rows = "bus,port,longest_block,name\nnorth,,,grid\n"
    some, _ = imported(tmp_path, rows, text)
    assert some == text  # meter-2 has no row: the table is a part
    (tmp_path / "new.toml").unlink()
    new, told = imported(tmp_path, f"{rows}north,,,meter-2\n", text)
    assert new == CONFIG
    assert "bus north: no longest_block" in told


def test_of_two_lines_behind_one_port_a_row_is_on_that_of_its_meter(tmp_path: Path) -> None:
    text = CONFIG.replace("10.0.0.2", "10.0.0.1")
    new, _ = imported(tmp_path, "port,name,address\ntcp://10.0.0.1:502,meter-3,9\n", text)
    assert new == text.replace(
        'name = "meter-3"\nmodel = "pro1"\naddress = 2',
        'name = "meter-3"\nmodel = "pro1"\naddress = 9',
    )
    (tmp_path / "new.toml").unlink()
    with pytest.raises(ConfigError, match="on which line is it"):
        imported(tmp_path, "port,name,address\ntcp://10.0.0.1:502,x,2\n", text)


def test_a_line_with_another_port_and_no_name_is_told_once_a_meter(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is on bus 'south'") as told:
        imported(tmp_path, "port,name,address\ntcp://10.0.0.9:502,meter-3,2\n")
    assert "a mistake" in told.value.message


@pytest.mark.parametrize("number", ["150302", "150302.0", "150302,00", "150.302", "00150302"])
def test_a_secondary_address_is_known_as_spreadsheets_write_it(number: str, tmp_path: Path) -> None:
    text = CONFIG.replace('port = "tcp://10.0.0.2:502"', 'protocol = "mbus"\nport = "/dev/ttyS1"')
    at = text.index('name = "meter-3"')
    text = text[:at] + text[at:].replace(
        '"pro1"\naddress = 2', '"pro380-mb"\nsecondary = "00150302"'
    )
    new, _ = imported(tmp_path, f'bus,name,secondary\nsouth,flat,"{number}"\n', text)
    assert new == text.replace('"meter-3"', '"flat"')


def test_paths_beside_the_file_keep_it_in_its_directory(tmp_path: Path) -> None:
    config, table = tmp_path / "my.toml", tmp_path / "meters.csv"
    config.write_text(CONFIG, encoding="utf-8")
    table.write_text("name,role\ngrid,load\n", encoding="utf-8")
    other = tmp_path / "other"
    other.mkdir()
    words = ("config", "import", table, "--config", config, "--write")
    with pytest.raises(ConfigError, match="start beside it"):
        run(*words, other / "new.toml")
    with pytest.raises(ExportError, match="exists already"):
        run(*words, config)
    assert not list(other.iterdir())
    assert config.read_text(encoding="utf-8") == CONFIG


def scanned(directory: Path, table: str, *options: str) -> tuple[Config, str]:
    """Return the configuration of a scan of three meters, and what was said."""
    there = (
        meter("pro380", 1, serial="22091039"),
        meter("pro380", 2, serial="00150302"),
        meter("pro380", 3, serial="15030201"),
    )
    file, config = directory / "names.csv", directory / "named.toml"
    file.write_text(table, encoding="utf-8")
    with a_line(*there) as port:
        done = run(
            *("scan", "--port", port, "--range", "1-3", "--write", config),
            *("--meters", file, "--json", *options),
        )
        assert done.exit_code == 0, done.output
    return load_config(config), done.stderr


def test_a_scan_names_meters_by_serial_number_or_address(tmp_path: Path) -> None:
    config, said = scanned(
        tmp_path,
        "bus;serial;address;name;role;cost_centre;invert\n"
        "flats;150302,00;;flat-2;load;Flat 2;\n"  # a spreadsheet took the zeros
        "flats;;1;mains;grid;;wahr\n"
        "flats;99999999;3;flat-9;load;;\n"
        "flats;;8;flat-8;load;;\n",
    )
    (bus,) = config.bus
    found = [(m.address, m.name, m.role, m.cost_centre, m.invert) for m in bus.meter]
    assert bus.name == "flats"
    assert found[:2] == [
        (1, "mains", "grid", None, True),
        (2, "flat-2", "load", "Flat 2", False),
    ]
    assert found[2][:2] == (3, "meter-3")
    assert "at address 3 is 15030201, not 99999999" in said
    assert "in the table, and not found: flat-9, flat-8" in said
    assert "found, and not in the table: address 3" in said


def test_rows_of_other_lines_name_nobody_on_this_one(tmp_path: Path) -> None:
    config, said = scanned(
        tmp_path,
        "bus,port,address,name,role\n"
        "main,tcp://10.0.0.1:502,1,grid,grid\nmain,,2,roof,pv\n"  # the port as said above
        "a,,3,flat-3,load\nb,,3,shop-3,load\n",
    )
    assert [meter.name for meter in config.bus[0].meter] == ["meter-1", "meter-2", "meter-3"]
    assert "address 3 is on several lines of the table" in said


def test_mistakes_in_a_table_are_told_before_the_scan(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as told:
        scanned(tmp_path, "serial;name;role\n1;a;grid\n2;a;laod\n")
    assert "two meters are called 'a'" in told.value.message
    assert "did you mean 'load'?" in told.value.message
    assert not (tmp_path / "named.toml").exists()
    done = run("scan", "--port", "tcp://127.0.0.1:1", "--meters", tmp_path / "names.csv")
    assert done.exit_code == 2
    assert "--write" in done.output


def test_a_terminal_is_asked_for_the_rest_only(tmp_path: Path) -> None:
    site = virtual_site(1, start=NOON, meters={1: "grid", 2: "load"})
    table, config = tmp_path / "names.csv", tmp_path / "my.toml"
    table.write_text("address,name,role\n1,main,grid\n", encoding="utf-8")
    with VirtualLine(site.meters, clock=VirtualClock(NOON, speed=1e-6), paced=False) as line:
        port = f"socket://127.0.0.1:{line.start_tcp()}"
        options = ("--port", port, "--range", "1-2", "--write", str(config))
        with Terminal("scan", *options, "--meters", str(table), columns=120) as screen:
            screen.answer("role (grid, pv, battery, load)", "load")
            screen.answer("name [load]:", "main")
            screen.wait_for("a meter is called 'main' already")
            screen.answer("name [load]:", "shop")
            assert screen.end() == 0, screen.shown
    (bus,) = load_config(config).bus
    assert [(one.name, one.role) for one in bus.meter] == [("main", "grid"), ("shop", "load")]
