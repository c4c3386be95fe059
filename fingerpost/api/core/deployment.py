"""Deployment: a workload, known by its labels and those of its pods."""

from fingerpost.api.base import ApiStruct, ObjectMeta


class PodTemplateSpec(ApiStruct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()


class DeploymentSpec(ApiStruct, frozen=True):
    template: PodTemplateSpec = PodTemplateSpec()


class Deployment(ApiStruct, frozen=True):
    metadata: ObjectMeta
    spec: DeploymentSpec = DeploymentSpec()
    api_version: str = "apps/v1"
    kind: str = "Deployment"
