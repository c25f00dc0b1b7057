"""The bill of materials: valid CycloneDX, of what the package holds and asks for."""

import hashlib
import json
from pathlib import Path

import pytest

import sensorstream
from tools import audit, sbom


def test_it_is_valid_cyclonedx() -> None:
    from cyclonedx.schema import SchemaVersion  # takes seconds, which each process of the tests would spend
    from cyclonedx.validation.json import JsonStrictValidator

    text = (sbom.ROOT / sbom.FILE).read_text(encoding="utf-8")
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    assert problem is None, problem
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text.replace('"bomFormat"', '"format"')) is not None


def test_it_is_as_the_package_is() -> None:
    assert sbom.main(["--check"]) == 0, sbom.STALE
    bill = sbom.bill()
    assert bill["metadata"]["component"]["version"] == sensorstream.__version__
    scopes = {one["name"]: one["scope"] for one in bill["components"]}
    assert scopes["kafka-python"] == "required"
    assert scopes["pyarrow"] == "optional"
    assert set(scopes) - {"backports-zstd"} <= set(audit.dependencies()), "all of them are installed for the tests"


def test_vendored_files_have_their_checksums() -> None:
    (plot,) = sbom.bill()["metadata"]["component"]["components"]
    assert plot["purl"] == "pkg:npm/uplot@1.6.32"
    for file in plot["components"]:
        content = (sbom.ROOT / "src" / file["name"]).read_bytes()
        assert file["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}]
    assert len(plot["components"]) == 2


def test_a_change_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = json.loads(sbom.text())
    old["components"].pop()
    monkeypatch.setattr(sbom, "FILE", tmp_path / "old.json")
    (tmp_path / "old.json").write_text(json.dumps(old))
    assert sbom.main(["--check"]) == 1
    assert "run make sbom" in capsys.readouterr().out
    assert sbom.main([]) == 0
    assert sbom.main(["--check"]) == 0


def test_vendored_files_of_unknown_origin_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "something.js").write_text("")
    monkeypatch.setattr(sbom, "VENDORED", tmp_path)
    with pytest.raises(SystemExit, match=r"something\.js"):
        sbom.bill()
