"""The registry of all kinds: what the users' API consists of, which have a model, which words people use for them.

It must not decide what a kind means; whoever needs an object's meaning reads its model.
"""

from __future__ import annotations

from types import MappingProxyType

import msgspec

from fingerpost.api.admin.kubernetes_cluster import KubernetesCluster
from fingerpost.api.admin.workspace import Workspace
from fingerpost.api.admin.workspace_settings import WorkspaceSettings
from fingerpost.api.base import ApiStruct
from fingerpost.api.core.config_map import ConfigMap
from fingerpost.api.core.deployment import Deployment
from fingerpost.api.core.endpoint_slice import EndpointSlice
from fingerpost.api.core.namespace import Namespace
from fingerpost.api.core.node import Node
from fingerpost.api.core.pod import Pod
from fingerpost.api.core.secret import Secret
from fingerpost.api.core.service import Service
from fingerpost.api.internal.discovered_gateway import DiscoveredGateway
from fingerpost.api.internal.service_facts import ServiceFacts
from fingerpost.api.networking.external_endpoint import ExternalEndpoint
from fingerpost.api.networking.external_service import ExternalService
from fingerpost.api.networking.route_table import RouteTable
from fingerpost.api.networking.virtual_destination import VirtualDestination
from fingerpost.api.networking.virtual_gateway import VirtualGateway
from fingerpost.api.resilience.outlier_detection_policy import OutlierDetectionPolicy


class UnknownKind(LookupError):
    """No kind is called so."""


class AmbiguousKind(LookupError):
    """Several kinds are called so; the message lists them."""


class Kind(msgspec.Struct, frozen=True):
    """`model` None: accepted and stored, but not implemented."""

    group: str
    version: str
    kind: str
    plural: str
    short_names: tuple[str, ...] = ()
    model: type[ApiStruct] | None = None
    namespaced: bool = True

    @property
    def type(self) -> str:
        """As in `ObjectKey.type`."""
        return f"{self.group}/{self.kind}"

    @property
    def api_version(self) -> str:
        return self.version if self.group == "core" else f"{self.group}/{self.version}"

    @property
    def written_by_users(self) -> bool:
        """Only of these a field that we do not know is worth a warning."""
        return self.group.endswith("solo.io") and self.group != "internal.gloo.solo.io"


_ADMIN = "admin.gloo.solo.io"
_API = "apimanagement.gloo.solo.io"
_INTERNAL = "internal.gloo.solo.io"
_NET = "networking.gloo.solo.io"
_RESILIENCE = "resilience.policy.gloo.solo.io"
_SECURITY = "security.policy.gloo.solo.io"
_TRAFFIC = "trafficcontrol.policy.gloo.solo.io"

KINDS: tuple[Kind, ...] = (
    Kind(_ADMIN, "v2", "Dashboard", "dashboards"),
    Kind(_ADMIN, "v2", "ExtAuthServer", "extauthservers", ("ess",)),
    Kind(_ADMIN, "v2", "GatewayLifecycleManager", "gatewaylifecyclemanagers", ("glm",)),
    Kind(_ADMIN, "v2alpha1", "InsightsConfig", "insightsconfigs"),
    Kind(_ADMIN, "v2", "IstioLifecycleManager", "istiolifecyclemanagers", ("ilm",)),
    Kind(_ADMIN, "v2", "KubernetesCluster", "kubernetesclusters", ("kc",), KubernetesCluster),
    Kind(_ADMIN, "v2", "RateLimitServerConfig", "ratelimitserverconfigs", ("rlsc",)),
    Kind(_ADMIN, "v2", "RateLimitServerSettings", "ratelimitserversettings", ("rlss",)),
    Kind(_ADMIN, "v2", "RootTrustPolicy", "roottrustpolicies", ("rtp",)),
    Kind(_ADMIN, "v2alpha1", "WaypointLifecycleManager", "waypointlifecyclemanagers"),
    Kind(_ADMIN, "v2", "Workspace", "workspaces", ("ws",), Workspace),
    Kind(_ADMIN, "v2", "WorkspaceSettings", "workspacesettings", ("wss",), WorkspaceSettings),
    Kind(_API, "v2", "ApiDoc", "apidocs", ("ad",)),
    Kind(_API, "v2", "ApiProduct", "apiproducts"),
    Kind(_API, "v2", "ApiSchema", "apischemas"),
    Kind(_API, "v2", "ApiSchemaDiscovery", "apischemadiscoveries"),
    Kind(_API, "v2", "GraphQLResolverMap", "graphqlresolvermaps"),
    Kind(_API, "v2", "GraphQLSchema", "graphqlschemas", ("gqls",)),
    Kind(_API, "v2", "GraphQLStitchedSchema", "graphqlstitchedschemas"),
    Kind(_API, "v2", "Portal", "portals", ("portal",)),
    Kind(_API, "v2", "PortalGroup", "portalgroups", ("portalgroup",)),
    Kind("enterprise.gloo.solo.io", "v1", "AuthConfig", "authconfigs"),
    Kind("extensions.policy.gloo.solo.io", "v2", "WasmDeploymentPolicy", "wasmdeploymentpolicies", ("wdp",)),
    Kind(_INTERNAL, "v2", "CertificateRequest", "certificaterequests", ("cr",)),
    Kind(_INTERNAL, "v2", "ClusterIstioInstallation", "clusteristioinstallations"),
    Kind(_INTERNAL, "v2", "DiscoveredCNI", "discoveredcnis", ("dcni",)),
    Kind(_INTERNAL, "v2", "DiscoveredGateway", "discoveredgateways", ("dg",), DiscoveredGateway),
    Kind(_INTERNAL, "v2", "IssuedCertificate", "issuedcertificates", ("ic",)),
    Kind(_INTERNAL, "v2", "Mesh", "meshes"),
    Kind(_INTERNAL, "v2", "PodBounceDirective", "podbouncedirectives", ("pbd",)),
    Kind(_INTERNAL, "v2", "PortalConfig", "portalconfigs", ("pcfg",)),
    Kind(_INTERNAL, "v2alpha1", "SpireRegistrationEntry", "spireregistrationentries"),
    Kind(_INTERNAL, "v2", "XdsConfig", "xdsconfigs", ("xc",)),
    Kind(_NET, "v2", "CloudProvider", "cloudproviders", ("cp",)),
    Kind(_NET, "v2", "CloudResources", "cloudresources", ("cr",)),
    Kind(_NET, "v2", "ExternalEndpoint", "externalendpoints", ("ep",), ExternalEndpoint),
    Kind(_NET, "v2", "ExternalService", "externalservices", ("es",), ExternalService),
    Kind(_NET, "v2alpha1", "ExternalWorkload", "externalworkloads"),
    Kind(_NET, "v2", "RouteTable", "routetables", ("rt",), RouteTable),
    Kind(_NET, "v2", "VirtualDestination", "virtualdestinations", ("vd",), VirtualDestination),
    Kind(_NET, "v2", "VirtualGateway", "virtualgateways", ("vg",), VirtualGateway),
    Kind("observability.policy.gloo.solo.io", "v2", "AccessLogPolicy", "accesslogpolicies"),
    Kind("ratelimit.solo.io", "v1alpha1", "RateLimitConfig", "ratelimitconfigs", ("rlc",)),
    Kind(_RESILIENCE, "v2", "ActiveHealthCheckPolicy", "activehealthcheckpolicies"),
    Kind(_RESILIENCE, "v2", "AdaptiveRequestConcurrencyPolicy", "adaptiverequestconcurrencypolicies"),
    Kind(_RESILIENCE, "v2", "ConnectionPolicy", "connectionpolicies", ("cp",)),
    Kind(_RESILIENCE, "v2", "FailoverPolicy", "failoverpolicies", ("fp",)),
    Kind(_RESILIENCE, "v2", "FaultInjectionPolicy", "faultinjectionpolicies", ("fip",)),
    Kind(
        _RESILIENCE, "v2", "GraphQLPersistedQueryCachePolicy", "graphqlpersistedquerycachepolicies", ("gqlpq", "gqlpqc")
    ),
    Kind(_RESILIENCE, "v2", "ListenerConnectionPolicy", "listenerconnectionpolicies"),
    Kind(_RESILIENCE, "v2", "OutlierDetectionPolicy", "outlierdetectionpolicies", ("odp",), OutlierDetectionPolicy),
    Kind(_RESILIENCE, "v2", "RetryTimeoutPolicy", "retrytimeoutpolicies", ("rtp",)),
    Kind(_RESILIENCE, "v2", "TrimProxyConfigPolicy", "trimproxyconfigpolicies", ("tpcp",)),
    Kind(_SECURITY, "v2", "AccessPolicy", "accesspolicies", ("ap",)),
    Kind(_SECURITY, "v2", "CORSPolicy", "corspolicies", ("cors",)),
    Kind(_SECURITY, "v2", "CSRFPolicy", "csrfpolicies", ("csrf",)),
    Kind(_SECURITY, "v2", "ClientTLSPolicy", "clienttlspolicies", ("ctls",)),
    Kind(_SECURITY, "v2", "DLPPolicy", "dlppolicies", ("dlp",)),
    Kind(_SECURITY, "v2", "ExtAuthPolicy", "extauthpolicies", ("extauth",)),
    Kind(_SECURITY, "v2", "GraphQLAllowedQueryPolicy", "graphqlallowedquerypolicies", ("gqlaq", "gqlaqp")),
    Kind(_SECURITY, "v2", "JWTPolicy", "jwtpolicies", ("jwt",)),
    Kind(_SECURITY, "v2", "WAFPolicy", "wafpolicies", ("waf",)),
    Kind(_TRAFFIC, "v2", "HTTPBufferPolicy", "httpbufferpolicies"),
    Kind(_TRAFFIC, "v2", "HeaderManipulationPolicy", "headermanipulationpolicies", ("hmp",)),
    Kind(_TRAFFIC, "v2", "LoadBalancerPolicy", "loadbalancerpolicies"),
    Kind(_TRAFFIC, "v2", "MirrorPolicy", "mirrorpolicies", ("mp",)),
    Kind(_TRAFFIC, "v2", "ProxyProtocolPolicy", "proxyprotocolpolicies"),
    Kind(_TRAFFIC, "v2", "RateLimitClientConfig", "ratelimitclientconfigs", ("rlcc",)),
    Kind(_TRAFFIC, "v2", "RateLimitPolicy", "ratelimitpolicies", ("rlp",)),
    Kind(_TRAFFIC, "v2", "TransformationPolicy", "transformationpolicies", ("tp",)),
    # Kubernetes' own kinds, and what agents derive from them.
    Kind("core", "v1", "Namespace", "namespaces", ("ns",), Namespace, namespaced=False),
    Kind("core", "v1", "Node", "nodes", ("no",), Node, namespaced=False),
    Kind("core", "v1", "Service", "services", ("svc",), Service),
    Kind("core", "v1", "Pod", "pods", ("po",), Pod),
    Kind("core", "v1", "Secret", "secrets", (), Secret),
    Kind("core", "v1", "ConfigMap", "configmaps", ("cm",), ConfigMap),
    Kind("apps", "v1", "Deployment", "deployments", ("deploy",), Deployment),
    Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", (), EndpointSlice),
    Kind("fingerpost.dev", "v1", "ServiceFacts", "servicefacts", (), ServiceFacts),
)

BY_TYPE = MappingProxyType({kind.type: kind for kind in KINDS})


def _by_word() -> dict[str, tuple[Kind, ...]]:
    out: dict[str, tuple[Kind, ...]] = {}
    for kind in KINDS:
        names = {kind.kind.lower(), kind.plural, *kind.short_names}
        words = names | {f"{name}.{kind.group}" for name in names} | {kind.type.lower()}
        for word in words:
            out[word] = (*out.get(word, ()), kind)
    return out


_BY_WORD = _by_word()


def find(word: str) -> Kind:
    """The kind meant by `RouteTable`, `routetable`, `routetables`, `rt` or `routetables.networking.gloo.solo.io`.

    Raises UnknownKind or AmbiguousKind, whose messages can be shown as they are.
    """
    found = _BY_WORD.get(word.lower(), ())
    if len(found) == 1:
        return found[0]
    if not found:
        raise UnknownKind(f'no kind is called "{word}"')
    candidates = ", ".join(sorted(f"{kind.plural}.{kind.group}" for kind in found))
    raise AmbiguousKind(f'"{word}" is ambiguous, write one of {candidates}')
