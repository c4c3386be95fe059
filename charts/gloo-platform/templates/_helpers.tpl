{{- define "fingerpost.serverName" -}}gloo-mesh-mgmt-server{{- end -}}
{{- define "fingerpost.agentName" -}}gloo-mesh-agent{{- end -}}
{{- define "fingerpost.redisName" -}}gloo-mesh-redis{{- end -}}

{{/* "true" or nothing, for use as a condition */}}
{{- define "fingerpost.serverRuns" -}}{{ if .Values.glooMgmtServer.enabled }}true{{ end }}{{- end -}}
{{- define "fingerpost.agentRuns" -}}
{{- if or .Values.glooAgent.enabled (and .Values.glooMgmtServer.enabled .Values.glooMgmtServer.registerCluster) }}true{{ end }}
{{- end -}}
{{- define "fingerpost.agent.elects" -}}{{ if and .Values.common.leaderElection .Values.glooAgent.leaderElection }}true{{ end }}{{- end -}}
{{- define "fingerpost.redisRuns" -}}
{{- $own := list "" (include "fingerpost.redisAddress.builtIn" .) "gloo-mesh-redis:6379" -}}
{{- if and .Values.glooMgmtServer.enabled .Values.redis.deployment.enabled (has (.Values.redis.address | default "") $own) }}true{{ end }}
{{- end -}}

{{- define "fingerpost.redisAddress.builtIn" -}}{{ include "fingerpost.redisName" . }}.{{ .Release.Namespace }}:6379{{- end -}}

{{- define "fingerpost.cluster" -}}
{{- required "common.cluster is empty: give the name of this cluster, that of its KubernetesCluster" .Values.common.cluster -}}
{{- end -}}

{{- define "fingerpost.adminNamespace" -}}{{ .Values.common.adminNamespace | default .Release.Namespace }}{{- end -}}

{{/* Of the relay, as the agent of this release dials it; one of several for now. */}}
{{- define "fingerpost.serverAddress" -}}
{{- $given := .Values.glooAgent.relay.serverAddress | default list -}}
{{- if kindIs "string" $given -}}{{- $given = splitList "," $given -}}{{- end -}}
{{- $given = compact $given -}}
{{- if $given -}}
{{- first $given | trim -}}
{{- else if .Values.glooMgmtServer.enabled -}}
{{- include "fingerpost.serverName" . }}.{{ .Release.Namespace }}:{{ .Values.glooMgmtServer.ports.grpc -}}
{{- else -}}
{{- fail "glooAgent.relay.serverAddress is empty and no management server is in this release: give host:port of its relay" -}}
{{- end -}}
{{- end -}}

{{- define "fingerpost.labels" -}}
app: {{ .name }}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/part-of: gloo-platform
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end -}}

{{/* What Services and Deployments select by; never anything that a new version changes. */}}
{{- define "fingerpost.selector" -}}
app: {{ .name }}
{{- end -}}

{{- define "fingerpost.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "fingerpost.labels" . | nindent 2 }}
{{- end -}}

{{/* (rendered object, overrides): the object with the overrides merged into it. */}}
{{- define "fingerpost.overridden" -}}
{{- $object := index . 0 | fromYaml -}}
{{- if hasKey $object "Error" -}}{{- fail (printf "%s in: %s" $object.Error (index . 0)) -}}{{- end -}}
{{- mergeOverwrite $object (deepCopy (index . 1 | default dict)) | toYaml -}}
{{- end -}}

{{/* {root, image, tag}: registry/repository:tag */}}
{{- define "fingerpost.image" -}}
{{- $registry := .image.registry | default .root.Values.common.imageRegistry -}}
{{- with $registry }}{{ . | trimSuffix "/" }}/{{ end }}{{ .image.repository }}:{{ .image.tag | default .tag }}
{{- end -}}

{{- define "fingerpost.pullSecrets" -}}
{{- with .Values.common.imagePullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ kindIs "map" . | ternary (get (kindIs "map" . | ternary . dict) "name") . }}
{{- end }}
{{- end }}
{{- end -}}
