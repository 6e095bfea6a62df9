"""The data directory is where the user's other state is, unless told."""

from pathlib import Path

from gateway.places import admin_url_file, data_dir


def test_the_data_directory_is_the_users_state_directory_unless_told() -> None:
    assert data_dir({"HOME": "/home/ann"}) == Path("/home/ann/.local/state/rouse")
    assert data_dir({"HOME": "/home/ann", "XDG_STATE_HOME": "/state"}) == Path("/state/rouse")
    assert data_dir({"HOME": "/home/ann", "XDG_STATE_HOME": "rel"}).is_relative_to("/home/ann")
    assert data_dir({"HOME": "/home/ann", "ROUSE_DATA_DIR": "/srv/rouse"}) == Path("/srv/rouse")
    assert data_dir({"ROUSE_DATA_DIR": "here"}) == Path.cwd() / "here"
    assert admin_url_file(Path("/d")) == Path("/d/admin.url")
