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
- {name: FINGERPOST_MGMT_INSECURE, value: {{ or .Values.common.insecure $server.insecure | quote }}}
- {name: FINGERPOST_MGMT_RELAY_AUTHORITY, value: {{ .Values.glooAgent.relay.authority | quote }}}
- {name: FINGERPOST_MGMT_DISABLE_CA, value: {{ $relay.disableCa | quote }}}
- {name: FINGERPOST_MGMT_DISABLE_CA_CERT_GENERATION, value: {{ $relay.disableCaCertGeneration | quote }}}
- {name: FINGERPOST_MGMT_DISABLE_TOKEN_GENERATION, value: {{ $relay.disableTokenGeneration | quote }}}
- {name: FINGERPOST_MGMT_REQUIRE_CLUSTER_TOKEN, value: {{ $relay.requireClusterToken | quote }}}
- {name: FINGERPOST_MGMT_REQUIRE_APPROVAL, value: {{ $relay.requireApproval | quote }}}
- {name: FINGERPOST_MGMT_ROOT_TLS_SECRET, value: {{ $relay.rootTlsSecret.name }}}
- {name: FINGERPOST_MGMT_SERVER_TLS_SECRET, value: {{ $relay.tlsSecret.name }}}
- {name: FINGERPOST_MGMT_SIGNING_TLS_SECRET, value: {{ $relay.signingTlsSecret.name }}}
- {name: FINGERPOST_MGMT_TOKEN_SECRET, value: {{ $relay.tokenSecret.name }}}
- {name: FINGERPOST_MGMT_TOKEN_SECRET_KEY, value: {{ $relay.tokenSecret.key }}}
{{- with include "fingerpost.otlpEndpoint" . }}
- {name: FINGERPOST_MGMT_OTLP_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- include "fingerpost.relay.renamed" (dict "prefix" "FINGERPOST_MGMT_" "given" $server.extraEnvs
    "names" (list "RELAY_TOKEN" "RELAY_DISABLE_CLIENT_CERTIFICATE_AUTHENTICATION")) }}
{{- end -}}

{{- define "fingerpost.relay.agent" -}}
{{- $agent := .Values.glooAgent }}
{{- $relay := $agent.relay }}
- {name: FINGERPOST_AGENT_INSECURE, value: {{ or .Values.common.insecure $agent.insecure | quote }}}
- {name: FINGERPOST_AGENT_ROOT_TLS_SECRET, value: {{ $relay.rootTlsSecret.name }}}
- {name: FINGERPOST_AGENT_CLIENT_TLS_SECRET, value: {{ $relay.clientTlsSecret.name }}}
- {name: FINGERPOST_AGENT_TOKEN_SECRET, value: {{ $relay.tokenSecret.name }}}
- {name: FINGERPOST_AGENT_TOKEN_SECRET_KEY, value: {{ $relay.tokenSecret.key }}}
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
