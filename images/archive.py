"""Writes image layers and OCI archives, with nothing but Python: for machines without Docker.

    archive.py layer LAYER TAR [--only FILE]    a base layer out of a root file system's tar
    archive.py image ARCHIVE NAME:TAG --base LAYER … --add FILE=PATH … --entrypoint PATH …

The archive is an OCI image layout and, like those of `docker save`, names its image in Docker's way too:
`ctr images import`, `docker load` and `skopeo copy oci-archive:` all take it. The same input gives the same bytes:
times are SOURCE_DATE_EPOCH at the latest, and nothing of this machine is in it.
"""

import argparse
import fnmatch
import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from datetime import datetime, timezone
from pathlib import Path

EPOCH = int(os.environ["SOURCE_DATE_EPOCH"])
OCI = "application/vnd.oci.image"


class Hashing(io.RawIOBase):
    """Passes on what is written to it, and remembers its digest and length."""

    def __init__(self, to):
        self.to, self.hash, self.length = to, hashlib.sha256(), 0

    def writable(self):
        return True

    def write(self, data):
        self.hash.update(data)
        self.length += len(data)
        return self.to.write(data)

    def digest(self):
        return "sha256:" + self.hash.hexdigest()


def write_layer(path, fill):
    """A gzipped layer; what the image has to say of it is kept in a file beside it, for the next use."""
    with open(path, "wb") as file:
        packed = Hashing(file)
        # A fixed name and time; a level that costs seconds, not minutes.
        with gzip.GzipFile("", "wb", 4, packed, mtime=0) as zipped:
            plain = Hashing(zipped)
            with tarfile.open(fileobj=plain, mode="w|", format=tarfile.PAX_FORMAT) as tar:
                fill(tar)
    about = {"diff_id": plain.digest(), "digest": packed.digest(), "size": packed.length}
    Path(f"{path}.json").write_text(json.dumps(about))


def base_layer(args):
    """The root file system, or the part of it that the patterns of a file name, with the folders they stand in."""
    with tarfile.open(args.tar) as root:
        # In the order of the tar: a hard link follows what it links to.
        members = {os.path.normpath(member.name): member for member in root}
        names = [name for name in members if name != "."]
        if args.only:
            lines = [line for line in args.only.read_text().splitlines() if line and not line.startswith("#")]
            found = {line: fnmatch.filter(names, line) for line in lines}
            missing = [line for line, matching in found.items() if not matching]
            if missing:
                raise SystemExit(f"error: {args.tar} has nothing like {missing[0]}: mend {args.only}")
            wanted = {name for matching in found.values() for name in matching}
            wanted |= {str(folder) for name in wanted for folder in Path(name).parents}
            names = [name for name in names if name in wanted]

        def fill(layer):
            for name in names:
                member = members[name]
                content = root.extractfile(member) if member.isreg() else None
                member.name, member.mtime, member.uname, member.gname = name, min(member.mtime, EPOCH), "", ""
                if member.islnk():
                    member.linkname = os.path.normpath(member.linkname)
                layer.addfile(member, content)

        write_layer(args.layer, fill)


def files_layer(path, added):
    """A layer of programs, FILE=PATH each, with the folders they stand in."""

    def fill(layer):
        folders = set()
        for spec in sorted(added, key=lambda spec: spec.partition("=")[2]):
            file, _, target = spec.partition("=")
            target = target.lstrip("/")
            for folder in sorted(str(folder) for folder in Path(target).parents if folder.name):
                if folder not in folders:
                    folders.add(folder)
                    member = tarfile.TarInfo(folder)
                    member.type, member.mode, member.mtime = tarfile.DIRTYPE, 0o755, EPOCH
                    layer.addfile(member)
            member = tarfile.TarInfo(target)
            member.size, member.mode, member.mtime = os.path.getsize(file), 0o755, EPOCH
            with open(file, "rb") as content:
                layer.addfile(member, content)

    write_layer(path, fill)


def image(args):
    with tempfile.TemporaryDirectory(dir=args.archive.parent) as work:
        own = Path(work, "files")
        files_layer(own, args.add)
        layers = [(layer, json.loads(Path(f"{layer}.json").read_text())) for layer in [*args.base, own]]

        # No rename within one folder would be as atomic from another.
        unfinished = Path(work, "archive")
        with tarfile.open(unfinished, "w") as archive:
            write_image(archive, args, layers)
        shutil.move(unfinished, args.archive)


def write_image(archive, args, layers):
    def add(name, content, size):
        member = tarfile.TarInfo(name)
        member.size, member.mtime = size, EPOCH
        archive.addfile(member, content)

    def add_bytes(name, data):
        add(name, io.BytesIO(data), len(data))

    def add_json(kind, value):
        data = json.dumps(value, sort_keys=True).encode()
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        add_bytes(blob(digest), data)
        return {"mediaType": f"{OCI}.{kind}.v1+json", "digest": digest, "size": len(data)}

    for path, about in layers:
        with open(path, "rb") as content:
            add(blob(about["digest"]), content, about["size"])
    created = datetime.fromtimestamp(EPOCH, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    config = add_json(
        "config",
        {
            "created": created,
            "architecture": args.architecture,
            "os": "linux",
            "config": {
                "User": args.user,
                "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
                "Entrypoint": [args.entrypoint],
                "Cmd": args.cmd,
                "WorkingDir": "/",
                "Labels": dict(label.split("=", 1) for label in args.label),
            },
            "rootfs": {"type": "layers", "diff_ids": [about["diff_id"] for _, about in layers]},
            "history": [{"created": created, "created_by": Path(path).name} for path, _ in layers],
        },
    )
    blobs = [
        {"mediaType": f"{OCI}.layer.v1.tar+gzip", "digest": about["digest"], "size": about["size"]}
        for _, about in layers
    ]
    manifest = add_json(
        "manifest",
        {"schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json", "config": config, "layers": blobs},
    )
    # The full name is for containerd, which knows no default registry; the tag is what the OCI layout calls a name.
    manifest["annotations"] = {
        "io.containerd.image.name": f"docker.io/library/{args.name}",
        "org.opencontainers.image.ref.name": args.name.rpartition(":")[2],
    }
    index = {"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": [manifest]}
    for_docker = {
        "Config": blob(config["digest"]),
        "RepoTags": [args.name],
        "Layers": [blob(about["digest"]) for _, about in layers],
    }
    add_bytes("index.json", json.dumps(index, sort_keys=True).encode())
    add_bytes("manifest.json", json.dumps([for_docker], sort_keys=True).encode())
    add_bytes("oci-layout", b'{"imageLayoutVersion": "1.0.0"}')


def blob(digest):
    return "blobs/" + digest.replace(":", "/")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    layer = commands.add_parser("layer")
    layer.add_argument("layer", type=Path)
    layer.add_argument("tar", type=Path)
    layer.add_argument("--only", type=Path, help="a file of patterns: what to take")
    layer.set_defaults(run=base_layer)
    whole = commands.add_parser("image")
    whole.add_argument("archive", type=Path)
    whole.add_argument("name")
    whole.add_argument("--base", type=Path, action="append", default=[])
    whole.add_argument("--add", action="append", default=[], metavar="FILE=PATH")
    whole.add_argument("--architecture", required=True)
    whole.add_argument("--user", default="65532:65532")
    whole.add_argument("--entrypoint", required=True)
    whole.add_argument("--cmd", action="append", default=[])
    whole.add_argument("--label", action="append", default=[], metavar="KEY=VALUE")
    whole.set_defaults(run=image)
    args = parser.parse_args()
    args.run(args)


main()
