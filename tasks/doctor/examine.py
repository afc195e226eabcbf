"""All checks of the doctor, and its report."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.doctor.finding import Finding, count_state
from tasks.doctor.installation import check_installation
from tasks.doctor.machine import check_machine
from tasks.doctor.placement import describe_placement
from tasks.doctor.service_checks import check_services
from tasks.doctor.workspace_checks import check_workspace
from tasks.runtime.workspace import Workspace
from tasks.server.local_stack import project_folder
from tasks.server.prefect_server import ServiceError


@dataclass(frozen=True)
class Report:
    """What was found, and what would run where."""

    findings: tuple[Finding, ...]
    placement: dict[str, str]

    @property
    def problems(self) -> int:
        """Number of findings that stop a flow."""
        return count_state(self.findings, "problem")

    def to_summary(self) -> dict[str, Any]:
        """Return the JSON report."""
        return {
            "problems": self.problems,
            "warnings": count_state(self.findings, "warning"),
            "checks": [finding.to_summary() for finding in self.findings],
            "placement": self.placement,
        }

    def to_lines(self) -> list[str]:
        """Return one line a check, one a remedy, and what would run where."""
        width = max(len(finding.subject) for finding in self.findings)
        lines = []
        for finding in self.findings:
            lines.append(f"{finding.state:8} {finding.subject:{width}}  {finding.value}")
            lines += [f"{'':8} {'':{width}}  -> {finding.remedy}"] if finding.remedy else []
        width = max(map(len, self.placement))
        lines += ["", "what would run where", *(f"  {name:{width}}  {text}" for name, text in self.placement.items())]
        counted = self.to_summary()
        return [*lines, "", f"problems: {counted['problems']}, warnings: {counted['warnings']}"]


def examine(workspace: Workspace, environment: Mapping[str, str]) -> Report:
    """Run all checks."""
    try:
        project = project_folder()
    except ServiceError:
        project = None
    findings = [
        *check_installation(),
        *check_machine(environment),
        *check_workspace(workspace, environment),
        *check_services(workspace, environment, project),
    ]
    return Report(tuple(findings), describe_placement(workspace, environment))
