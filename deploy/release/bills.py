"""Bills of materials in CycloneDX's format."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.requirements import Requirement

from .crates import PROGRAMS, Crate
from .scripts import ScriptPackage

# What a serial number is derived from: the same file has the same bill.
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://cyclonedx.org/")


def rust(crates: Iterable[Crate]) -> list[Component]:
    """Compiled in."""
    return [
        Component(
            type=ComponentType.LIBRARY,
            name=crate.name,
            version=crate.version,
            bom_ref=f"cargo:{crate.reference}",
            purl=PackageURL("cargo", None, crate.name, crate.version),
            scope=ComponentScope.REQUIRED,
            # Older crates say "or" with a slash.
            licenses=[LicenseFactory().make_from_string(crate.license.replace("/", " OR "))] if crate.license else [],
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=crate.sha256)] if crate.sha256 else [],
        )
        for crate in crates
    ]


def scripts(packages: Iterable[ScriptPackage]) -> list[Component]:
    """In the dashboard's pages, which are compiled in."""
    return [
        Component(
            type=ComponentType.LIBRARY,
            name=package.name,
            version=package.version,
            bom_ref=f"npm:{package.name}@{package.version}",
            purl=PackageURL("npm", *_scoped(package.name), package.version),
            scope=ComponentScope.REQUIRED,
            licenses=[LicenseFactory().make_from_string(package.license)] if package.license else [],
            hashes=[HashType(alg=HashAlgorithm.SHA_512, content=package.sha512)],
        )
        for package in packages
    ]


def _scoped(name: str) -> tuple[str | None, str]:
    """`@scope` and the name within it."""
    scope, slash, rest = name.partition("/")
    return (scope, rest) if slash else (None, name)


def required(requirements: Iterable[str]) -> list[Component]:
    """Python packages that are installed beside it, in a version that is chosen then."""
    components = []
    for text in requirements:
        requirement = Requirement(text)
        components.append(
            Component(
                type=ComponentType.LIBRARY,
                name=requirement.name,
                bom_ref=f"pypi:{requirement.name}",
                purl=PackageURL("pypi", None, requirement.name),
                scope=ComponentScope.REQUIRED,
                description=f"installed with it from the package index: {text}",
            )
        )
    return components


def installed(kind: str, packages: Iterable[tuple[str, str]]) -> list[Component]:
    """Packages of Debian (`deb`) or from PyPI (`pypi`), each with its version."""
    namespace = "debian" if kind == "deb" else None
    return [
        Component(
            type=ComponentType.LIBRARY,
            name=name,
            version=version,
            bom_ref=f"{kind}:{name}@{version}",
            purl=PackageURL(kind, namespace, name, version),
            scope=ComponentScope.REQUIRED,
        )
        for name, version in packages
    ]


def bill(
    file: Path, kind: ComponentType, version: str, when: float, crates: list[Crate], others: list[Component]
) -> str:
    """What `file` holds, as JSON that is valid by CycloneDX's schema.

    :raises ValueError: the schema does not allow it
    """
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    subject = Component(type=kind, name="udfleet", version=version, bom_ref="udfleet")
    subject.hashes.add(HashType(alg=HashAlgorithm.SHA_256, content=digest))
    compiled = {crate.reference: component for crate, component in zip(crates, rust(crates), strict=True)}
    bom = Bom(components=[*compiled.values(), *others], serial_number=uuid.uuid5(_NAMESPACE, digest))
    bom.metadata.component = subject
    bom.metadata.timestamp = datetime.fromtimestamp(when, UTC)
    own = [compiled[crate.reference] for crate in crates if crate.name in PROGRAMS]
    bom.register_dependency(subject, [*own, *others])
    for crate in crates:
        bom.register_dependency(compiled[crate.reference], [compiled[one] for one in crate.dependencies])
    text = JsonV1Dot6(bom).output_as_string(indent=1)
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if problem:
        raise ValueError(f"the bill of materials of {file.name} is not valid: {problem}")
    return text
