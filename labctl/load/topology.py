"""A topology file -> a planned lab, or every problem with it at once."""

from __future__ import annotations

import itertools
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from labctl.document.document import Document, read_document
from labctl.document.hints import nearest
from labctl.document.problems import problems_from
from labctl.errors import InputError, Problem
from labctl.load.check import check
from labctl.load.former_vars import with_current_vars
from labctl.load.links import LinkSection
from labctl.load.names import label_fault, suggestion
from labctl.load.nodes import NodeSection
from labctl.load.overlay import link_guests, section_problems, with_overlay
from labctl.load.role_vars import check_role_vars
from labctl.load.schema import AddressingModel, LinkValue, NodeModel, RoleModel, TopologyModel
from labctl.load.variables import read_vars, substituted
from labctl.model.plan import PlanError, plan
from labctl.model.topology import NODE_SETTINGS, AddressPools, LabRequest, NodeRequest
from labctl.roles.catalog import load_roles
from labctl.roles.folders import template_folders

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from labctl.model.lab import Lab
    from labctl.roles.model import Role

__all__ = ["lab_from", "load_topology", "read_topology", "topology_from"]

_SCENARIO_KEYS = {"timeline", "traffic", "expect", "steady"}
_NODE_KEYS = tuple(NodeModel.model_fields)
_SETTINGS = {*_NODE_KEYS, *NODE_SETTINGS}
_DEFAULT_MTU = 1500


def load_topology(
    path: Path,
    sets: Sequence[str] = (),
    name: str | None = None,
    *,
    templates: Sequence[Path] = (),
) -> Lab:
    """Read a topology and plan its lab.

    Args:
        path: of the YAML file.
        sets: ``variable=value`` each, as after ``--set``.
        name: of the lab, in the place of the file's own.
        templates: the user's template folders, over those that the file names itself.

    Returns:
        The lab, complete.

    Raises:
        InputError: every problem of the file and of ``sets``.
    """
    return read_topology(path, sets, name, templates=templates)[0]


def read_topology(
    path: Path,
    sets: Sequence[str] = (),
    name: str | None = None,
    *,
    templates: Sequence[Path] = (),
) -> tuple[Lab, tuple[Problem, ...]]:
    """:func:`load_topology`, and a warning for each former name that the file uses."""
    return lab_from(read_document(path), sets, name, templates=templates)


def lab_from(
    document: Document,
    sets: Sequence[str] = (),
    name: str | None = None,
    *,
    templates: Sequence[Path] = (),
) -> tuple[Lab, tuple[Problem, ...]]:
    """:func:`read_topology` of a file that has been read.

    Args:
        document: what stands in it.
        sets: as for :func:`load_topology`.
        name: as for :func:`load_topology`.
        templates: as for :func:`load_topology`.

    Returns:
        The lab, complete, and a warning for each former name that the file uses.

    Raises:
        InputError: every problem of the file and of ``sets``.
    """
    folders = template_folders(document, templates)
    loader = _Loader(document, sets, name, load_roles(folders))
    return replace(loader.lab(), templates=tuple(str(folder) for folder in folders)), loader.warnings


def topology_from(
    document: Document, sets: Sequence[str] = (), name: str | None = None, *, roles: Mapping[str, Role]
) -> Lab:
    """Plan the lab of a topology that has been read.

    Args:
        document: the topology.
        sets: as for :func:`load_topology`.
        name: as for :func:`load_topology`.
        roles: the roles that nodes may have, by name.

    Returns:
        The lab, complete.

    Raises:
        InputError: every problem of the file and of ``sets``.
    """
    return _Loader(document, sets, name, roles).lab()


class _Loader:
    """Carries one topology from its document to the planner, gathering problems."""

    def __init__(
        self, document: Document, sets: Sequence[str], name: str | None, roles: Mapping[str, Role]
    ) -> None:
        if not isinstance(document.data, dict):
            message = "expected a topology: a mapping with name, nodes and links"
            raise InputError([document.problem((), message)])
        self._vars, self._problems = read_vars(document, sets)
        self._roles = roles
        self._name = name
        self._without_role: dict[tuple[str | int, ...], list[str]] = {}
        try:
            self._document, self.warnings = with_current_vars(substituted(document, self._vars), roles)
        except InputError as error:
            # What the rest of the file says means nothing while its variables are unknown.
            raise InputError([*self._problems, *error.problems]) from error

    def lab(self) -> Lab:
        """Do it."""
        data = {key: value for key, value in self._document.data.items() if key != "vars"}
        model, broken = self._shape(data)
        nodes = NodeSection(self._document)
        nodes.add_all({key: self._node_model(key, data, model, broken) for key in _mapping(data, "nodes")})
        links = LinkSection(self._document, nodes, self._default_mtu(model))
        for index, link in self._link_models(data, model, broken):
            links.add(index, link)
        to_hosts, complaints = link_guests(self._document, nodes.requests, self._roles)
        links.requests += [replace(link, mtu=self._default_mtu(model)) for link in to_hosts]
        self._problems += [*nodes.problems, *links.problems, *complaints]
        name = self._lab_name(data)
        self._problems += [
            self._document.problem(
                ("roles", role), f"unknown role {role!r}", nearest(role, self._roles), key=True
            )
            for role in _mapping(data, "roles")
            if role not in self._roles
        ]
        asked = [self._node(request, model) for request in nodes.requests.values()]
        self._complain_of_roles()
        self._problems += check_role_vars(self._document, nodes.requests, self._roles, model)
        self._problems += check(self._document, asked, links.requests)
        pools = self._pools(model)
        if self._problems or model is None:
            also = section_problems(self._document, model.overlay) if model else []
            raise InputError([*self._problems, *also])
        topology = LabRequest(name, tuple(asked), tuple(links.requests), self._vars, pools)
        return with_overlay(self._document, self._plan(topology), nodes.requests, model.overlay)

    def _shape(self, data: dict[str, Any]) -> tuple[TopologyModel | None, set[tuple[str | int, ...]]]:
        """Validate the whole; which nodes and links are broken if it is not sound."""
        try:
            return TopologyModel.model_validate(data), set()
        except ValidationError as error:
            found = problems_from(error, self._document, TopologyModel)
            self._problems += [self._with_kind(problem, data) for problem in found]
            return None, {details["loc"][:2] for details in error.errors()}

    def _with_kind(self, problem: Problem, data: Mapping[str, Any]) -> Problem:
        """Tell who validates a scenario or a containerlab file as a topology."""
        if problem.message.startswith("unknown key 'topology'") and isinstance(data.get("topology"), dict):
            return replace(
                problem, hint="this looks like a containerlab file, whose nodes stand under `topology`"
            )
        if any(problem.message == f"unknown key {key!r}" for key in _SCENARIO_KEYS):
            return replace(problem, hint="this looks like a scenario, expected a topology")
        return problem

    def _node_model(
        self, key: str, data: dict[str, Any], model: TopologyModel | None, broken: set[tuple[str | int, ...]]
    ) -> NodeModel | None:
        if model is not None:
            return model.nodes[key] or NodeModel()
        if ("nodes", key) in broken:
            return None
        return NodeModel.model_validate(data["nodes"][key] or {})

    def _link_models(
        self, data: dict[str, Any], model: TopologyModel | None, broken: set[tuple[str | int, ...]]
    ) -> list[tuple[int, Any]]:
        if model is not None:
            return list(enumerate(model.links or []))
        entries = data.get("links")
        adapter = TypeAdapter(LinkValue)
        return [
            (index, adapter.validate_python(entry))
            for index, entry in enumerate(entries if isinstance(entries, list) else [])
            if ("links", index) not in broken
        ]

    def _lab_name(self, data: Mapping[str, Any]) -> str:
        given = self._name if self._name is not None else data.get("name")
        if not isinstance(given, str) or not given:
            return ""
        fault = label_fault(given, "lab")
        if fault and self._name is not None:
            self._problems.append(Problem(f"--name {given}", 0, 0, fault, suggestion(given)))
        elif fault:
            self._problems.append(self._document.problem(("name",), fault, suggestion(given)))
        return given

    def _node(self, request: NodeRequest, model: TopologyModel | None) -> NodeRequest:
        """A node with what its role gives it; as it is where the role is not known."""
        role = self._role(request)
        extras = self._extras(request, role)
        if role is None:
            return request
        settings = (model.roles or {}).get(role.name, RoleModel()) if model else RoleModel()
        defaults = model.defaults if model else None
        shared = defaults.vars if defaults else {}
        params = {**role.vars, **shared, **settings.vars, **request.params, **extras}
        image = request.image or settings.image or (defaults.image if defaults else None) or ""
        return replace(request, behaviour=role.acts_as, image=image, params=params)

    def _extras(self, request: NodeRequest, role: Role | None) -> dict[str, Any]:
        """What was given under the role's own keys; complains of keys that nobody knows."""
        roles = self._roles.values() if role is None else (role,)
        own = {key for each in roles for key in each.node_keys}
        extras = {}
        for key, path in request.places.items():
            if key in own:
                extras[key] = request.extras.get(key)
            elif key not in _SETTINGS:
                hint = nearest(key, (*_NODE_KEYS, *own))
                self._problems.append(self._document.problem(path, f"unknown key {key!r}", hint, key=True))
        return extras

    def _role(self, request: NodeRequest) -> Role | None:
        path = request.places.get("role")
        if path is None:
            self._without_role.setdefault(request.path, []).append(request.name)
            return None
        if request.role and request.role not in self._roles:
            hint = nearest(request.role, self._roles)
            self._problems.append(self._document.problem(path, f"unknown role {request.role!r}", hint))
        return self._roles.get(request.role)

    def _complain_of_roles(self) -> None:
        """One problem a key, whatever number of nodes it names."""
        hint = f"known: {', '.join(self._roles)}"
        for path, names in self._without_role.items():
            has = f"and {len(names) - 1} more have" if len(names) > 1 else "has"
            message = f"node {names[0]!r} {has} no role"
            self._problems.append(self._document.problem(path, message, hint, key=True))

    def _default_mtu(self, model: TopologyModel | None) -> int:
        given = model.defaults.mtu if model and model.defaults else None
        return _DEFAULT_MTU if given is None else given

    def _pools(self, model: TopologyModel | None) -> AddressPools:
        if model is None or model.addressing is None:
            return AddressPools()
        given = model.addressing
        self._check_pools(given)
        return replace(AddressPools(), **_given_fields(given))

    def _check_pools(self, given: AddressingModel) -> None:
        """Pools that overlap would plan one address twice."""
        pools = replace(AddressPools(), **_given_fields(given))
        networks = [
            (spec.name, getattr(pools, spec.name)) for spec in fields(AddressPools) if spec.name != "asn"
        ]
        for (first, one), (second, other) in itertools.combinations(networks, 2):
            if one.version == other.version and one.overlaps(other):
                late = second if getattr(given, second) is not None else first
                message = f"pool {second} {other} overlaps pool {first} {one}"
                self._problems.append(self._document.problem(("addressing", late), message))

    def _plan(self, topology: LabRequest) -> Lab:
        try:
            return plan(topology)
        except PlanError as error:
            path = ("addressing",) if error.link is None else topology.links[error.link].path
            raise InputError([self._document.problem(path, str(error))]) from error


def _given_fields(model: AddressingModel) -> dict[str, Any]:
    return {
        spec.name: value for spec in fields(AddressPools) if (value := getattr(model, spec.name)) is not None
    }


def _mapping(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}
