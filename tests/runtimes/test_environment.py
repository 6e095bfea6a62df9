"""What an actor's program finds in its environment."""

import sys
from pathlib import Path

from runtimes.environment import compose


def made(**given: str) -> dict[str, str]:
    return compose(
        actor="demo/c1",
        given=given,
        ports={"http": 8080, "side-door": 9090},
        data=["/data", "/cache"],
        home="/data",
        temporary="/tmp",
    )


def test_main_port_and_each_by_name() -> None:
    env = made()
    assert (env["PORT"], env["PORT_HTTP"], env["PORT_SIDE_DOOR"]) == ("8080", "8080", "9090")


def test_durable_directories_are_numbered_from_the_second_on() -> None:
    env = made()
    assert (env["ROUSE_DATA"], env["ROUSE_DATA_2"]) == ("/data", "/cache")


def test_a_template_may_say_its_home_but_not_its_port() -> None:
    env = made(HOME="/elsewhere", PORT="1", ROUSE_ACTOR="demo/other")
    assert (env["HOME"], env["PORT"], env["ROUSE_ACTOR"]) == ("/elsewhere", "8080", "demo/c1")


def test_python3_is_the_one_that_runs_rouse() -> None:
    assert made()["PATH"].split(":")[0] == str(Path(sys.executable).parent)
