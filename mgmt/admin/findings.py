"""The codes of `check`: stable, documented, one table. Words only, so that the command line can read it too."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import msgspec

LICENSE = "License status"
CRDS = "CRD version check"
DEPLOYMENT = "Gloo Platform deployment status"
CONNECTIVITY = "Mgmt server connectivity to workload agents"
WARM_UP = "Warm-up"
REDIS = "Redis"
RESOURCES = "Resources"
GUARDS = "Guards"
GATEWAYS = "Gateways"
SOURCES = "Sources"
CERTIFICATES = "Certificates"
VERSIONS = "Versions"
SECURITY = "Security"
SECTIONS = (
    LICENSE, CRDS, DEPLOYMENT, CONNECTIVITY, WARM_UP, CERTIFICATES, REDIS, RESOURCES, VERSIONS, SECURITY, GUARDS,
    GATEWAYS, SOURCES)  # fmt: skip


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """`hint` may name `{object}`."""

    section: str
    severity: str  # "error" or "warning"
    meaning: str
    hint: str


CODES = MappingProxyType(
    {
        "CHK021": Code(
            section=CRDS,
            severity="error",
            meaning="Kinds are missing at the API server, so objects of these kinds cannot be written.",
            hint="install or upgrade the chart gloo-platform-crds: fingerpost install does both charts",
        ),
        "CHK022": Code(
            section=CRDS,
            severity="warning",
            meaning="Kinds are of another version than this command line.",
            hint="upgrade the chart gloo-platform-crds first, or use the command line of that version",
        ),
        "CHK023": Code(
            section=CRDS,
            severity="warning",
            meaning="The kinds could not be looked at, since the right to list them is missing.",
            hint="have list on customresourcedefinitions granted, or do without this section",
        ),
        "CHK031": Code(
            section=DEPLOYMENT,
            severity="warning",
            meaning="A management server runs but is not ready: its first translation is not done, or Redis is ahead.",
            hint="wait a moment, then look at the server's log for the reason",
        ),
        "CHK032": Code(
            section=DEPLOYMENT,
            severity="error",
            meaning="A management server of the contexts file did not answer, so what only it knows is missing here.",
            hint="start it, or correct its address in the contexts file (fingerpost config view)",
        ),
        "CHK033": Code(
            section=DEPLOYMENT,
            severity="warning",
            meaning="Some pods of a Deployment are ready, so its work is done; others are not, or are being replaced.",
            hint="wait until they are ready; if they stay as they are, kubectl describe shows why (see CHK034)",
        ),
        "CHK034": Code(
            section=DEPLOYMENT,
            severity="error",
            meaning="No pod of a Deployment is ready, so nobody does its work; or there is no Deployment at all.",
            hint="kubectl describe shows why: the image, a right, a value; correct that with fingerpost install",
        ),
        "CHK041": Code(
            section=CONNECTIVITY,
            severity="error",
            meaning="A cluster is registered, but no agent of it is connected. Its gateways go on serving what they "
            "have; changes do not reach them.",
            hint="start the agent of {object}, or look at its log for why it cannot connect",
        ),
        "CHK042": Code(
            section=CONNECTIVITY,
            severity="error",
            meaning="An agent is connected under a name without a KubernetesCluster, so nothing is taken from it.",
            hint="create the KubernetesCluster {object}, or stop that agent",
        ),
        "CHK043": Code(
            section=CONNECTIVITY,
            severity="warning",
            meaning="An agent is connected, but its first listing has not ended.",
            hint="wait a moment; if it stays, look at the log of the agent of {object}",
        ),
        "CHK044": Code(
            section=CONNECTIVITY,
            severity="error",
            meaning="An agent and its server do not trust each other: a certificate, a token or the setting insecure "
            "does not fit. Its gateways go on serving what they have.",
            hint="do what the message says; docs/certificates.md shows all options",
        ),
        "CHK045": Code(
            section=SECURITY,
            severity="warning",
            meaning="The relay is in plaintext: nothing proves that an agent is who it says it is.",
            hint="set insecure to false on the server and on its agents",
        ),
        "CHK046": Code(
            section=CONNECTIVITY,
            severity="error",
            meaning="A second cluster uses the name of one that is there. The second is refused, the first goes on.",
            hint="give one of the two another name (--cluster); after a rebuild of {object} set the annotation "
            "relay.gloo.solo.io/cluster-uid of its KubernetesCluster to the new uid",
        ),
        "CHK047": Code(
            section=CONNECTIVITY,
            severity="error",
            meaning="The agent of a cluster does not run there, or its API server does not tell.",
            hint="do what the message says: image, rights, values of the chart; kubectl describe pod shows events",
        ),
        "CHK048": Code(
            section=CONNECTIVITY,
            severity="error",
            meaning="An agent cannot reach its server: the way is closed, or nobody answers.",
            hint="correct server_address of the agent (glooAgent.relay.serverAddress), or open the way to it",
        ),
        "CHK049": Code(
            section=CONNECTIVITY,
            severity="warning",
            meaning="An agent under an unknown name asks to be accepted. Until then nothing is taken from it, and it "
            "gets nothing.",
            hint="see uid, address and certificate in the condition Accepted of KubernetesCluster {object}; then "
            "fingerpost cluster accept {object}, or reject",
        ),
        "CHK141": Code(
            section=CONNECTIVITY,
            severity="error",
            meaning="An agent does not find the name of its server.",
            hint="correct server_address of the agent (glooAgent.relay.serverAddress), or the DNS of its cluster",
        ),
        "CHK142": Code(
            section=CONNECTIVITY,
            severity="error",
            meaning="Nobody listens at the address that an agent has of its server.",
            hint="correct server_address of the agent (glooAgent.relay.serverAddress), or start the server",
        ),
        "CHK143": Code(
            section=CONNECTIVITY,
            severity="error",
            meaning="The server's certificate does not bear the name that the agent expects, but those of the message.",
            hint="set glooAgent.relay.authority to one of these names, or bring a certificate with the expected one",
        ),
        "CHK144": Code(
            section=CONNECTIVITY,
            severity="error",
            meaning="The server's certificate is issued by an authority that the agent does not know.",
            hint="copy ca.crt of relay-root-tls-secret from the management cluster, as cluster register does",
        ),
        "CHK145": Code(
            section=CONNECTIVITY,
            severity="error",
            meaning="A certificate of the relay has ended, the server's or the agent's own, as the message says.",
            hint="renew the one that the message names, or set the clocks right; docs/certificates.md shows how",
        ),
        "CHK146": Code(
            section=CONNECTIVITY,
            severity="error",
            meaning="The token that an agent shows is not the server's.",
            hint="copy the token from the management cluster anew, as fingerpost cluster register does",
        ),
        "CHK147": Code(
            section=CONNECTIVITY,
            severity="error",
            meaning="An agent is at the door of its server, but its cluster is not registered, or not accepted.",
            hint="fingerpost cluster register, or correct common.cluster of the agent if the name is wrong",
        ),
        "CHK148": Code(
            section=CONNECTIVITY,
            severity="error",
            meaning="Another cluster has the name of this one, so the server refuses this one.",
            hint="give one of the two another name; if this one was rebuilt: fingerpost cluster register --rebind",
        ),
        "CHK149": Code(
            section=CONNECTIVITY,
            severity="warning",
            meaning="The agent of a cluster is not connected to this server, which cannot reach Redis and so does not "
            "see to which agents other servers are connected.",
            hint="bring Redis back, or ask all servers: the contexts file lists them; else start the agent of {object}",
        ),
        "CHK051": Code(
            section=WARM_UP,
            severity="warning",
            meaning="What depends on a cluster that has not reported since the server started keeps its last version, "
            "so that a restart deletes nothing.",
            hint="start the agent of {object}, or set spec.skipWarming of its KubernetesCluster",
        ),
        "CHK061": Code(
            section=REDIS,
            severity="error",
            meaning="The server cannot reach Redis, or Redis takes no writes. It goes on from memory and stores later; "
            "until then a restart would lose the latest changes.",
            hint="start Redis, correct its address, or give it memory, as the message says; the server needs nothing",
        ),
        "CHK062": Code(
            section=REDIS,
            severity="error",
            meaning="Redis may evict keys when its memory is full, which would look like deletions.",
            hint="set maxmemory-policy noeviction in Redis",
        ),
        "CHK063": Code(
            section=REDIS,
            severity="warning",
            meaning="Redis does not write what it is told to a file. When it restarts, the history is lost, and what a "
            "cluster has told is missing until its agent has told it again.",
            hint="built-in Redis: set redis.deployment.persistence.enabled=true in the values of the chart; your own: "
            "set appendonly yes in its redis.conf",
        ),
        "CHK071": Code(
            section=RESOURCES,
            severity="error",
            meaning="An object is INVALID or FAILED: as written it has no effect, or the last good version stays.",
            hint="correct the named field; fingerpost describe shows every problem of the object",
        ),
        "CHK072": Code(
            section=RESOURCES,
            severity="warning",
            meaning="A part of an object has no effect; the rest of it is in force.",
            hint="correct the named field; fingerpost describe shows every problem of the object",
        ),
        "CHK073": Code(
            section=RESOURCES,
            severity="warning",
            meaning="An object is not taken into account yet, most often because no Workspace has its namespace.",
            hint="let a Workspace select the namespace of the object",
        ),
        "CHK074": Code(
            section=RESOURCES,
            severity="warning",
            meaning="Objects of a kind that this version stores but does not implement. They have no effect.",
            hint="remove them, or do not rely on them",
        ),
        "CHK075": Code(
            section=RESOURCES,
            severity="error",
            meaning="The translation of one unit failed. Its last good output stays in force, everything else goes on.",
            hint="this is a defect of the server; report it with the line that the server logged",
        ),
        "CHK081": Code(
            section=GUARDS,
            severity="error",
            meaning="A change would take away much of what a gateway serves. It is held until the clusters concerned "
            "have been listed anew, or a person releases it.",
            hint="if the loss is meant: fingerpost release {object}",
        ),
        "CHK082": Code(
            section=GUARDS,
            severity="error",
            meaning="An agent holds a large loss that the server sent, and serves what it had.",
            hint="if the loss is meant: fingerpost release with the name of the cluster",
        ),
        "CHK087": Code(
            section=GUARDS,
            severity="warning",
            meaning="Gateways are rolled back: they get what an older snapshot gives, and what is edited waits.",
            hint="when the cause is mended: fingerpost rollback release {object}",
        ),
        "CHK088": Code(
            section=REDIS,
            severity="warning",
            meaning="Snapshots cannot be recorded. Changes go out all the same; the history has a gap, which one "
            "snapshot closes when Redis is there again.",
            hint="look at what Redis answers: is it there, has it memory left",
        ),
        "CHK083": Code(
            section=GATEWAYS,
            severity="error",
            meaning="Envoy refused what an object adds; the gateway serves the last version that Envoy took.",
            hint="correct the object; the message is Envoy's own",
        ),
        "CHK084": Code(
            section=GATEWAYS,
            severity="warning",
            meaning="A gateway does not serve an object as wanted, for the reason given.",
            hint="see the reason; fingerpost describe shows all gateways of the object",
        ),
        "CHK085": Code(
            section=GATEWAYS,
            severity="warning",
            meaning="A proxy has not acknowledged the newest version for some time.",
            hint="look at that Envoy: is it running, is it overloaded",
        ),
        "CHK086": Code(
            section=GATEWAYS,
            severity="warning",
            meaning="No proxy is connected to a gateway, so nobody serves what the gateway has.",
            hint="start the Envoy of {object} with what fingerpost proxy bootstrap prints",
        ),
        "CHK091": Code(
            section=SOURCES,
            severity="error",
            meaning="A file of a cluster's folder is broken; what it held before stays in force.",
            hint="correct the file; fingerpost validate -f checks it beforehand",
        ),
        "CHK092": Code(
            section=SOURCES,
            severity="error",
            meaning="The folder of a cluster is not there, or all of its files went at once. That is taken for an "
            "accident, and everything stays in force.",
            hint="bring the folder and its files back; if the loss is meant: fingerpost release {object}",
        ),
        "CHK093": Code(
            section=SOURCES,
            severity="warning",
            meaning="An object in a cluster's folder has an apiVersion or kind that nobody reads, but that is near to "
            "one that is read. It has no effect; what its file held under that name before stays in force.",
            hint="correct apiVersion and kind in the file; fingerpost validate -f checks it beforehand",
        ),
        "CHK096": Code(
            section=SOURCES,
            severity="warning",
            meaning="A file of a cluster's folder is empty. What it held before is deleted, as with the file itself.",
            hint="if it was emptied by accident, bring its objects back; else delete it, or write a comment into it",
        ),
        "CHK101": Code(
            section=CERTIFICATES,
            severity="error",
            meaning="A certificate of the relay has ended. Connections that need it are refused from now on.",
            hint="bring a new one, or look at the log for why it was not renewed; docs/certificates.md shows how",
        ),
        "CHK102": Code(
            section=CERTIFICATES,
            severity="warning",
            meaning="Less than a tenth of a certificate's lifetime is left. Managed certificates are renewed before.",
            hint="renew it where it was brought from, or look at the log for why it was not renewed",
        ),
        "CHK103": Code(
            section=CERTIFICATES,
            severity="error",
            meaning="A secret of the relay is gone or cannot be used. All goes on with what was read of it before, but "
            "after a restart agents would be refused, or the process would not start.",
            hint="bring the secret back, as the message says; what the server itself made it writes back in a moment",
        ),
        "CHK111": Code(
            section=VERSIONS,
            severity="warning",
            meaning="An agent and its server are more than one minor version apart, for which nothing is promised.",
            hint="upgrade the older of the two, server first; docs/upgrade.md shows the order",
        ),
        "CHK112": Code(
            section=VERSIONS,
            severity="warning",
            meaning="This command line and a server are more than one minor version apart, so that one may not "
            "understand all the other says.",
            hint="use the command line of the server's version",
        ),
        "CHK121": Code(
            section=SECURITY,
            severity="warning",
            meaning="Agents show one token that all share, so any of them can claim to be another cluster.",
            hint="use client certificates, or a token for each cluster (glooMgmtServer.relay.requireClusterToken)",
        ),
        "CHK122": Code(
            section=SECURITY,
            severity="warning",
            meaning="The bootstrap token lies in a workload cluster whose agent has its certificate. Whoever reads it "
            "there can claim the name of a cluster to come.",
            hint="delete Secret relay-identity-token-secret in the namespace of the agent of {object}",
        ),
        "CHK095": Code(
            section=SOURCES,
            severity="warning",
            meaning="Something cannot be read of a cluster's API server. What was known of it stays in force.",
            hint="grant the right, install the CRD or bring the API server back, as the message says",
        ),
        "CHK094": Code(
            section=SOURCES,
            severity="warning",
            meaning="An agent of the contexts file did not answer, so what is wrong with its folder is missing here.",
            hint="start the agent, or correct its address with fingerpost config set-context",
        ),
    }
)


def finding(code: str, about: str, message: str, hint: str = "") -> dict[str, Any]:
    entry = CODES[code]
    return {
        "code": code,
        "severity": entry.severity,
        "section": entry.section,
        "object": about,
        "message": message,
        "hint": hint or entry.hint.replace("{object}", about),
    }
