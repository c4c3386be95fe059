{{/* Groups of the kinds that users write. A role cannot say *.solo.io. */}}
{{- define "fingerpost.groups" -}}
- admin.gloo.solo.io
- apimanagement.gloo.solo.io
- enterprise.gloo.solo.io
- extensions.policy.gloo.solo.io
- networking.gloo.solo.io
- observability.policy.gloo.solo.io
- ratelimit.solo.io
- resilience.policy.gloo.solo.io
- security.policy.gloo.solo.io
- trafficcontrol.policy.gloo.solo.io
{{- end -}}

{{/* What both halves read of a cluster whatever the namespaces are; the UID of kube-system stands for the cluster. */}}
{{- define "fingerpost.rules.cluster" -}}
- apiGroups: [""]
  resources: [namespaces]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [namespaces]
  resourceNames: [kube-system]
  verbs: [get]
{{- end -}}

{{- define "fingerpost.rules.users" -}}
- apiGroups:
    {{- include "fingerpost.groups" . | nindent 4 }}
  resources: ["*"]
  verbs: [list, watch]
- apiGroups:
    {{- include "fingerpost.groups" . | nindent 4 }}
  resources: ["*/status"]
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end -}}

{{/* An agent looks for its own XdsConfigs everywhere, and writes them in its namespace. */}}
{{- define "fingerpost.rules.kept" -}}
- apiGroups: [internal.gloo.solo.io]
  resources: [xdsconfigs]
  verbs: [get, create, patch, delete]
{{- end -}}

{{/* What an agent writes for the Istio gateways of its cluster. Of objects without its labels it reads, and writes none. */}}
{{- define "fingerpost.rules.istio" -}}
- apiGroups: [networking.istio.io]
  resources: [destinationrules, envoyfilters, gateways, serviceentries, virtualservices, workloadentries]
  verbs: [get, list, watch, create, patch, delete]
{{- end -}}

{{- define "fingerpost.rules.discovery" -}}
- apiGroups: [""]
  resources: [services, pods]
  verbs: [list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
{{- end -}}

{{/* {name}; the name of an object to be made cannot be bound. */}}
{{- define "fingerpost.rules.lease" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ .name }}]
  verbs: [get, patch]
{{- end -}}

{{/* (names to read once, names to follow, names to write) of Secrets in the namespace of the release */}}
{{- define "fingerpost.rules.secrets" -}}
- apiGroups: [""]
  resources: [secrets]
  resourceNames:
    {{- index . 0 | uniq | toYaml | nindent 4 }}
  verbs: [get]
- apiGroups: [""]
  resources: [secrets]
  resourceNames:
    {{- index . 1 | uniq | toYaml | nindent 4 }}
  verbs: [get, watch]
- apiGroups: [""]
  resources: [secrets]
  resourceNames:
    {{- index . 2 | uniq | toYaml | nindent 4 }}
  verbs: [patch]
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
{{- end -}}

{{/* {root, kind, name, account, namespace}: a binding of the role of that name to a component's account */}}
{{- define "fingerpost.binding" -}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}Binding
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "fingerpost.labels" (dict "root" .root "name" .account) | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ .kind }}
  name: {{ .name }}
subjects:
  - {kind: ServiceAccount, name: {{ .account }}, namespace: {{ .root.Release.Namespace }}}
{{- end -}}

{{/* {root, kind, name, account, namespace, rules}: the role and its binding */}}
{{- define "fingerpost.role" }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "fingerpost.labels" (dict "root" .root "name" .account) | nindent 4 }}
rules:
  {{- .rules | nindent 2 }}
{{ include "fingerpost.binding" . }}
{{- end -}}
