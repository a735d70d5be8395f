"""Reads deploy/compose.yaml and what it mounts: names that must agree, agree."""

import pathlib
import re
import tomllib
import urllib.parse

import yaml

deploy = pathlib.Path(__file__).resolve().parents[2] / "deploy"
compose = yaml.safe_load((deploy / "compose.yaml").read_text())
settings = tomllib.loads((deploy / "walcast.toml").read_text())
services = compose["services"]

for name, service in services.items():
    assert "image" in service or "build" in service, f"{name} has no image"
    for other in service.get("depends_on", {}):
        assert other in services, f"{name} depends on an unknown {other}"
        condition = service["depends_on"][other]["condition"]
        assert condition != "service_healthy" or "healthcheck" in services[other], f"{other} has no health check"
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        exists = (deploy / source).is_file() if source.startswith(".") else source in compose["volumes"]
        assert exists, f"{name} mounts an unknown {source}"
    build = service.get("build")
    assert not build or (deploy / build["context"] / build["dockerfile"]).is_file(), f"{name}: no {build}"

walcasts = [service for service in services.values() if service["image"] == "walcast"]
assert sorted(service["command"][0] for service in walcasts) == ["init", "run"]
for service in walcasts:
    for name, value in service["environment"].items():
        _, section, key = name.lower().split("_", 2)
        assert key in settings[section], f"{name} overrides nothing in walcast.toml"
        assert urllib.parse.urlsplit(value).hostname in services, f"{name} names no service"
    database = urllib.parse.urlsplit(service["environment"]["WALCAST_SOURCE_URL"]).path[1:]
    assert database == services["postgres"]["environment"]["POSTGRES_DB"]
assert "wal_level=logical" in services["postgres"]["command"]

tables = re.findall(r"create table (\w+)", (deploy / "todo.sql").read_text())
for rule in settings["rule"]:
    schema, table = rule["table"].split(".")
    assert schema == "public" and table in tables, f"no table {rule['table']} in todo.sql"
print("compose.yaml, walcast.toml and todo.sql agree")
