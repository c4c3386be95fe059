{{/*
Of glooMgmtServer.relay or glooAgent.relay: Secrets by their key, and tokenKey. One without a value has the name that the
chart gives it, since files for the reference empty those that are not needed.
*/}}
{{- define "fingerpost.relay.secrets" -}}
{{- $own := dict "tlsSecret" "relay-server-tls-secret" "rootTlsSecret" "relay-root-tls-secret"
    "signingTlsSecret" "relay-tls-signing-secret" "clientTlsSecret" "relay-client-tls-secret"
    "tokenSecret" "relay-identity-token-secret" }}
{{- range $key, $name := $own }}
{{ $key }}: {{ get (get $ $key | default dict) "name" | default $name | quote }}
{{- end }}
tokenKey: {{ get (get . "tokenSecret" | default dict) "key" | default "token" | quote }}
{{- end -}}

{{/* {prefix, names, given}: what the reference reads from its own variables, under the names of our settings */}}
{{- define "fingerpost.relay.renamed" -}}
{{- range $name, $source := .given }}
{{- if has $name $.names }}
- name: {{ $.prefix }}{{ eq $name "RELAY_TOKEN" | ternary $name (trimPrefix "RELAY_" $name) }}
  {{- toYaml $source | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "fingerpost.relay.server" -}}
{{- $server := .Values.glooMgmtServer }}
{{- $relay := $server.relay }}
{{- $secrets := include "fingerpost.relay.secrets" $relay | fromYaml }}
- {name: FINGERPOST_MGMT_INSECURE, value: {{ or .Values.common.insecure $server.insecure false | quote }}}
- {name: FINGERPOST_MGMT_RELAY_AUTHORITY, value: {{ .Values.glooAgent.relay.authority | quote }}}
- {name: FINGERPOST_MGMT_DISABLE_CA, value: {{ $relay.disableCa | default false | quote }}}
- {name: FINGERPOST_MGMT_DISABLE_CA_CERT_GENERATION, value: {{ $relay.disableCaCertGeneration | default false | quote }}}
- {name: FINGERPOST_MGMT_DISABLE_TOKEN_GENERATION, value: {{ $relay.disableTokenGeneration | default false | quote }}}
- {name: FINGERPOST_MGMT_REQUIRE_CLUSTER_TOKEN, value: {{ $relay.requireClusterToken | default false | quote }}}
- {name: FINGERPOST_MGMT_REQUIRE_APPROVAL, value: {{ $relay.requireApproval | default false | quote }}}
- {name: FINGERPOST_MGMT_ROOT_TLS_SECRET, value: {{ $secrets.rootTlsSecret | quote }}}
- {name: FINGERPOST_MGMT_SERVER_TLS_SECRET, value: {{ $secrets.tlsSecret | quote }}}
- {name: FINGERPOST_MGMT_SIGNING_TLS_SECRET, value: {{ $secrets.signingTlsSecret | quote }}}
- {name: FINGERPOST_MGMT_TOKEN_SECRET, value: {{ $secrets.tokenSecret | quote }}}
- {name: FINGERPOST_MGMT_TOKEN_SECRET_KEY, value: {{ $secrets.tokenKey | quote }}}
{{- with include "fingerpost.otlpEndpoint" . }}
- {name: FINGERPOST_MGMT_OTLP_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- include "fingerpost.relay.renamed" (dict "prefix" "FINGERPOST_MGMT_" "given" $server.extraEnvs
    "names" (list "RELAY_TOKEN" "RELAY_DISABLE_CLIENT_CERTIFICATE_AUTHENTICATION")) }}
{{- end -}}

{{- define "fingerpost.relay.agent" -}}
{{- $agent := .Values.glooAgent }}
{{- $relay := $agent.relay }}
{{- $secrets := include "fingerpost.relay.secrets" $relay | fromYaml }}
- {name: FINGERPOST_AGENT_INSECURE, value: {{ or .Values.common.insecure $agent.insecure false | quote }}}
- {name: FINGERPOST_AGENT_ROOT_TLS_SECRET, value: {{ $secrets.rootTlsSecret | quote }}}
- {name: FINGERPOST_AGENT_CLIENT_TLS_SECRET, value: {{ $secrets.clientTlsSecret | quote }}}
- {name: FINGERPOST_AGENT_TOKEN_SECRET, value: {{ $secrets.tokenSecret | quote }}}
- {name: FINGERPOST_AGENT_TOKEN_SECRET_KEY, value: {{ $secrets.tokenKey | quote }}}
- name: FINGERPOST_AGENT_CLIENT_TLS_SECRET_ROTATION_GRACE_PERIOD_RATIO
  value: {{ $relay.clientTlsSecretRotationGracePeriodRatio | quote }}
{{- with include "fingerpost.otlpEndpoint" . }}
- {name: FINGERPOST_AGENT_OTLP_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- include "fingerpost.relay.renamed" (dict "prefix" "FINGERPOST_AGENT_" "given" $agent.extraEnvs
    "names" (list "RELAY_TOKEN" "RELAY_DISABLE_SERVER_CERTIFICATE_VALIDATION")) }}
{{- end -}}

{{/* Where traces go, as a URL; empty where there are none */}}
{{- define "fingerpost.otlpEndpoint" -}}
{{- $otlp := dig "config" "exporters" "otlp" dict (default dict .Values.telemetryCollector) -}}
{{- with get $otlp "endpoint" -}}
{{- dig "tls" "insecure" false $otlp | ternary "http" "https" }}://{{ . }}
{{- end -}}
{{- end -}}
