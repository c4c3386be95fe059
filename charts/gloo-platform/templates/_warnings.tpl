{{/* A YAML list of texts. Values are not repeated: they may be secrets. */}}
{{- define "fingerpost.warnings" -}}
{{- $root := . -}}
{{- $found := list -}}
{{- range $entry := .Files.Get "files/unsupported.yaml" | fromYamlArray -}}
  {{- $value := $root.Values -}}
  {{- range splitList "." $entry.path -}}
    {{- $value = kindIs "map" $value | ternary (get (kindIs "map" $value | ternary $value dict) .) nil -}}
  {{- end -}}
  {{- if not $entry.each -}}
    {{- $anyway := toString $entry.anyway | replace "RELEASE_NAMESPACE" $root.Release.Namespace -}}
    {{- if and $value (ne (toString $value) $anyway) -}}
      {{- $found = append $found (printf "%s has no effect in this version: %s" $entry.path $entry.says) -}}
    {{- end -}}
  {{- else if kindIs "map" $value -}}
    {{- range $key, $set := $value -}}
      {{- if $set -}}
        {{- $found = append $found (printf "%s.%s has no effect in this version: %s" $entry.path $key $entry.says) -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- $addresses := .Values.glooAgent.relay.serverAddress | default list -}}
{{- if gt (kindIs "string" $addresses | ternary (splitList "," (toString $addresses)) $addresses | len) 1 -}}
  {{- $found = append $found "glooAgent.relay.serverAddress names several servers: this version uses the first" -}}
{{- end -}}
{{- range $found }}
- {{ . | quote }}
{{- end }}
{{- end -}}
