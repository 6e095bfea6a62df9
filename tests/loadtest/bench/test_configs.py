"""The configurations as texts; that the programs take them is shown by test_sides."""

from pathlib import Path

from loadtest.bench import configs


def test_the_small_body_has_the_27_bytes_of_the_published_numbers() -> None:
    assert len(configs.SMALL) == 27


def test_the_actor_is_the_backend_itself_at_the_port_that_the_worker_chose() -> None:
    document = configs.template("/usr/sbin/nginx", Path("/s/in"), Path("/s"), core=1)
    spec = document["spec"]
    assert isinstance(spec, dict)
    script = spec["command"][2]
    assert 'sed "s/@PORT@/$PORT/" /s/in > /s/actor.conf' in script
    assert script.endswith("exec taskset -c 1 /usr/sbin/nginx -c /s/actor.conf")
    text = configs.backend(configs.PORT_MARK, Path("/s"), Path("/www"))
    assert text.replace("@PORT@", "80") == configs.backend("80", Path("/s"), Path("/www"))


def test_nobody_writes_a_log_and_nobody_closes_a_kept_connection() -> None:
    for text in (
        configs.backend("1", Path("/s"), Path("/www")),
        configs.nginx(1, 2, Path("/s")),
    ):
        assert "access_log off;" in text and "keepalive_requests 1000000000;" in text
    assert " log " not in configs.haproxy(1, 2) and "httplog" not in configs.haproxy(1, 2)


def test_the_router_is_led_to_the_backend_by_fields() -> None:
    fields = configs.router_fields(8000)
    assert fields["X-Sandbox-Port"] == "8000" and fields["X-Sandbox-Pod-IP"] == "127.0.0.1"
    assert configs.actor_host() == "backend.bench.actors.localhost"
