"""What a program finds; that real clients read it is tests/system/test_egress's."""

import ssl
from pathlib import Path

from gateway.egress.certs import make_authority
from gateway.egress.outfit import BUNDLE, JAVA, OURS, variables, write_files


def test_the_files_are_for_everybody_and_trust_ours_and_the_systems(tmp_path: Path) -> None:
    make_authority(tmp_path / "c", tmp_path / "k")
    pem = (tmp_path / "c").read_bytes()
    shown = tmp_path / "public"
    for _ in range(2):  # again, as when the policies change
        write_files(shown, [pem, pem])
    assert sorted(path.name for path in shown.iterdir()) == sorted((BUNDLE, JAVA, OURS))
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in shown.iterdir())
    assert (shown / OURS).read_bytes() == pem
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(shown / BUNDLE)
    names = [dict(pair[0] for pair in each["subject"]) for each in context.get_ca_certs()]  # type: ignore[misc]
    assert {"commonName": "rouse egress CA"} in names


def test_every_variable_names_the_proxy_or_a_file(tmp_path: Path) -> None:
    made = variables("127.0.0.1", 3128, "t0ken", tmp_path)
    assert made["HTTPS_PROXY"] == made["https_proxy"] == "http://actor:t0ken@127.0.0.1:3128"
    assert made["SSL_CERT_FILE"] == str(tmp_path / BUNDLE)
    assert made["NODE_EXTRA_CA_CERTS"] == str(tmp_path / OURS)
    assert "-Dhttps.proxyPort=3128" in made["JAVA_TOOL_OPTIONS"]


def test_in_a_network_of_its_own_no_variable_holds_a_token(tmp_path: Path) -> None:
    made = variables("10.209.0.1", 3128, "", tmp_path)
    assert made["HTTPS_PROXY"] == made["ROUSE_EGRESS_URL"] == "http://10.209.0.1:3128"
