"""The configuration: what it may say, how a change keeps the rest of the file, who else may write it."""

from __future__ import annotations

from pathlib import Path

import pytest
import tomllib

from vljepa_serve import ConfigError, ConfigFile, read_config
from vljepa_serve.config import free_id, name_of

TEXT = """\
# cameras of the house
[log]
keep_days = 30  # the law says so

[[camera]]
id = "door"  # the blue one
name = "Front door"
source = "rtsp://admin:hunter2@10.0.0.5/live"

[[camera]]
id = "yard"
name = "Yard"
source = "1"

[[alert]]
id = "fall"
name = "A fall"
query = "a person falls"
cameras = ["door", "yard"]
"""


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[[camera]]\nid = 1\nname = "x"\nsource = "0"', "camera\\[0\\].id: expected an id"),
        ('[[camera]]\nid = "Door"\nname = "x"\nsource = "0"', "small letters"),
        ('[[camera]]\nid = "a"\nname = "x"\nsource = ""', "expected a source"),
        ('[[camera]]\nid = "a"\nname = "x"\nsource = "0"\n' * 2, "got a twice"),
        ('[camera]\nid = "a"', "expected a list"),
        ('[[alert]]\nid = "a"\nname = "x"\nquery = "y"\ncameras = ["b"]', "got b; known: none"),
        (
            '[[alert]]\nid = "a"\nname = "x"\nquery = "y"\nthreshold = nan',
            "expected a finite number, got nan",
        ),
        ("[log]\nkeep_days = -1", "days above 0"),
        ("[log]\nkeep_dais = 1", "did you mean 'keep_days'"),
        ("[server]\nport = 70000", "port from 0 to 65535"),
        ("[select]\nthreshold = 0", "threshold"),
        ("[select]\nboundary = 1", "0 < boundary < 1"),
        ('[select]\nconfirm = "no"', "select.confirm"),
        ("[select]\nboundary = 0.5\nthreshold = 0.1", "threshold or boundary of a selection, and not both"),
        ("[server", "expected TOML"),
        ("a = " + "[" * 3000, "expected TOML"),
        ("[model]\nstride_s = inf", "stride_s"),
        ('[model]\ntokens = "statik"', "model.tokens: .*did you mean 'static'"),
        ("[model]\ntokens = 5", "a token policy"),
        ("[model]\ncarry_s = -1", "seconds from 0 to 3600"),
    ],
)
def test_what_a_configuration_cannot_say(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        read_config(text)
    assert "\n" not in str(caught.value).split(": ")[0]


def test_a_change_keeps_comments_and_everything_else(tmp_path: Path) -> None:
    path = tmp_path / "serve.toml"
    path.write_text(TEXT)
    file = ConfigFile(path)
    file.put("camera", {"id": "yard", "name": "Back yard", "loop": True})
    file.set("log", {"video_hours": 2.0})
    file.put("alert", {"id": "new", "name": "Ünïcode ☂", "query": 'a "quoted" word'})
    text = path.read_text()
    assert all(said in text for said in ("# cameras of the house", "# the law says so", "# the blue one"))
    plain = tomllib.loads(text)  # another reader than the one that wrote it
    assert plain["camera"][1] == {"id": "yard", "name": "Back yard", "source": "1", "loop": True}
    assert plain["alert"][1]["query"] == 'a "quoted" word'
    assert ConfigFile(path).config == file.config


def test_what_is_refused_leaves_file_and_configuration(tmp_path: Path) -> None:
    path = tmp_path / "serve.toml"
    path.write_text(TEXT)
    file = ConfigFile(path)
    before = file.config
    with pytest.raises(ConfigError) as caught:
        file.put("alert", {"id": "fall", "cameras": ["nowhere"]})
    assert caught.value.field == "fall"
    assert (file.config, path.read_text()) == (before, TEXT)


def test_a_camera_that_goes_leaves_the_alerts_that_named_it(tmp_path: Path) -> None:
    path = tmp_path / "serve.toml"
    path.write_text(TEXT)
    config = ConfigFile(path).remove("camera", "door")
    assert [camera.id for camera in config.camera] == ["yard"]
    assert config.alert[0].cameras == ("yard",)


def test_entries_written_as_one_list_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "serve.toml"
    path.write_text('camera = [{id = "a", name = "A", source = "0"}]\n')
    config = ConfigFile(path).put("camera", {"id": "b", "name": "B", "source": "1"})
    assert [camera.id for camera in config.camera] == ["a", "b"]
    assert ConfigFile(path).config == config


def test_somebody_else_may_write_the_file(tmp_path: Path) -> None:
    path = tmp_path / "serve.toml"
    path.write_text(TEXT)
    file = ConfigFile(path)
    assert not file.changed()
    path.write_text(TEXT.replace("Front door", "Gate"))
    assert file.changed()
    assert file.config.camera[0].name == "Gate"
    path.write_text("[server")
    assert not file.changed()
    assert file.config.camera[0].name == "Gate"
    assert "not in force" in file.problem
    with pytest.raises(ConfigError, match="put that right first"):
        file.set("log", {"keep_days": 1.0})
    path.write_text(TEXT + "# and a comment\n")
    assert file.changed()
    assert file.problem == ""
    file.put("camera", {"id": "door", "on": False})
    assert "# and a comment" in path.read_text()


@pytest.mark.parametrize(
    ("name", "id"),
    [("Front Door", "front-door"), ("…", "camera"), ("a" * 80, "a" * 28), ("日本", "camera"), ("--x--", "x")],
)
def test_an_id_is_made_from_a_name(name: str, id: str) -> None:
    assert free_id(name, []) == id
    assert free_id(name, [id]) == f"{id}-2"


def test_no_name_of_a_source_shows_its_password() -> None:
    assert "hunter2" not in name_of("rtsp://admin:hunter2@10.0.0.5/live?token=hunter2")
    assert "hunter2" not in name_of("http://x/hunter2@y?password=hunter2")
