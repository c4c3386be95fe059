{{/* {component}: the pod's security context */}}
{{- define "fingerpost.podSecurity" -}}
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- if not .floatingUserId }}
runAsUser: {{ .runAsUser }}
runAsGroup: {{ .runAsUser }}
fsGroup: {{ .runAsUser }}
{{- end }}
{{- end -}}

{{- define "fingerpost.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "fingerpost.extraEnvs" -}}
{{- range $name, $source := . }}
- name: {{ $name }}
  {{- toYaml $source | nindent 2 }}
{{- end }}
{{- end -}}

{{/* {root, sidecars}: containers; their image may be a text or {registry, repository, tag} */}}
{{- define "fingerpost.sidecars" -}}
{{- range $name, $given := .sidecars }}
{{- $image := $given.image }}
{{- if kindIs "map" $image }}
{{- $image = include "fingerpost.image" (dict "root" $.root "image" $image "tag" "latest") }}
{{- end }}
{{- $own := dict "terminationMessagePolicy" "FallbackToLogsOnError" }}
- {{- toYaml (mergeOverwrite $own (deepCopy $given) (dict "name" $name "image" $image)) | nindent 2 }}
{{- end }}
{{- end -}}
