{{/*
What the schema cannot see: values that render, each right by itself, and cannot work together. A YAML list of texts,
each naming value and remedy; refusals.yaml fails with all of them. Values are not repeated where they may be secrets.
*/}}
{{- define "fingerpost.refusals" -}}
{{- $found := list -}}
{{- range $part := list "ports" "secrets" "replicas" "relay" "insecure" "redis" "clusters" "pods" "monitoring" "addresses" -}}
  {{- $found = concat $found (include (printf "fingerpost.refusals.%s" $part) $ | fromYamlArray) -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}

{{/* {by: list of (what, name), of, remedy}: what is there twice */}}
{{- define "fingerpost.refusals.twice" -}}
{{- $seen := dict -}}
{{- range .by -}}
  {{- $name := last . | toString -}}
  {{- if hasKey $seen $name }}
- {{ printf "%s and %s are both %s: %s" (get $seen $name) (first .) $name $.remedy | quote }}
  {{- else -}}
    {{- $_ := set $seen $name (first .) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* {component, own: list of (value, port)}: with those of its sidecars, which share the pod's address */}}
{{- define "fingerpost.refusals.podPorts" -}}
{{- $ports := .own -}}
{{- range $name, $given := .sidecars -}}
  {{- range $port := get $given "ports" | default list -}}
    {{- if and (kindIs "map" $port) (hasKey $port "containerPort") -}}
      {{- $ports = append $ports (list (printf "%s.sidecars.%s.ports" $.component $name) (get $port "containerPort")) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- include "fingerpost.refusals.twice" (dict "by" $ports "remedy" "give each port of the pod a number of its own") -}}
{{- end -}}

{{- define "fingerpost.refusals.ports" -}}
{{- if include "fingerpost.serverRuns" . }}
{{- $server := .Values.glooMgmtServer }}
{{- $own := list (list "glooMgmtServer.ports.grpc" $server.ports.grpc) (list "glooMgmtServer.ports.healthcheck" $server.ports.healthcheck)
    (list "glooMgmtServer.statsPort" $server.statsPort) }}
{{- include "fingerpost.refusals.podPorts" (dict "component" "glooMgmtServer" "own" $own "sidecars" $server.sidecars) }}
{{- end }}
{{- if include "fingerpost.agentRuns" . }}
{{- $agent := .Values.glooAgent }}
{{- $own := list (list "glooAgent.ports.grpc" $agent.ports.grpc) (list "glooAgent.ports.http" $agent.ports.http) }}
{{- include "fingerpost.refusals.podPorts" (dict "component" "glooAgent" "own" $own "sidecars" $agent.sidecars) }}
{{- range $other := list "grpc" "http" }}
{{- if eq (toString $agent.ports.stats) (get $agent.ports $other | toString) }}
- "glooAgent.ports.{{ $other }} and glooAgent.ports.stats are both {{ $agent.ports.stats }}: give each port of the Service a number of its own"
{{- end }}
{{- end }}
{{- end }}
{{- if include "fingerpost.redisRuns" . }}
{{- $redis := .Values.redis.deployment }}
{{- include "fingerpost.refusals.podPorts" (dict "component" "redis.deployment" "own" (list (list "the port of Redis" 6379)) "sidecars" $redis.sidecars) }}
{{- end }}
{{- end -}}

{{/* One Secret for two things would be written by both. */}}
{{- define "fingerpost.refusals.secrets" -}}
{{- $remedy := "give each a Secret of its own" -}}
{{- $server := include "fingerpost.relay.secrets" .Values.glooMgmtServer.relay | fromYaml }}
{{- $agent := include "fingerpost.relay.secrets" .Values.glooAgent.relay | fromYaml }}
{{- if include "fingerpost.serverRuns" . }}
{{- $names := list (list "the gateways' root" "gateway-root-tls-secret") (list "what keeps rollbacks" "fingerpost-rollbacks")
    (list "glooMgmtServer.relay.tlsSecret.name" $server.tlsSecret) (list "glooMgmtServer.relay.rootTlsSecret.name" $server.rootTlsSecret)
    (list "glooMgmtServer.relay.signingTlsSecret.name" $server.signingTlsSecret) (list "glooMgmtServer.relay.tokenSecret.name" $server.tokenSecret) }}
{{- if and (include "fingerpost.agentRuns" .) (eq (include "fingerpost.adminNamespace" .) .Release.Namespace) }}
{{- $names = append $names (list "glooAgent.relay.clientTlsSecret.name" $agent.clientTlsSecret) }}
{{- end }}
{{- include "fingerpost.refusals.twice" (dict "by" $names "remedy" $remedy) }}
{{- end }}
{{- if include "fingerpost.agentRuns" . }}
{{- $names := list (list "the agent's key" "gloo-mesh-agent-key") (list "the gateways' certificates" "gloo-mesh-agent-gateways")
    (list "glooAgent.relay.clientTlsSecret.name" $agent.clientTlsSecret) (list "glooAgent.relay.rootTlsSecret.name" $agent.rootTlsSecret)
    (list "glooAgent.relay.tokenSecret.name" $agent.tokenSecret) }}
{{- include "fingerpost.refusals.twice" (dict "by" $names "remedy" $remedy) }}
{{- end }}
{{- end -}}

{{/* of deploymentOverrides; 1 unless given */}}
{{- define "fingerpost.replicas" -}}
{{- $spec := get (. | default dict) "spec" | default dict -}}
{{- hasKey $spec "replicas" | ternary (get $spec "replicas") 1 | int -}}
{{- end -}}

{{/* A server may be scaled to 0, for a recovery (relay.md §9.5). */}}
{{- define "fingerpost.refusals.replicas" -}}
{{- if include "fingerpost.redisRuns" . }}
{{- $replicas := include "fingerpost.replicas" .Values.redis.deployment.deploymentOverrides }}
{{- if ne $replicas "1" }}
- "redis.deployment.deploymentOverrides.spec.replicas is {{ $replicas }}: the built-in Redis is one pod; for more give redis.address of a Redis of your own"
{{- end }}
{{- end }}
{{- if include "fingerpost.agentRuns" . }}
{{- $replicas := include "fingerpost.replicas" .Values.glooAgent.deploymentOverrides | int }}
{{- if lt $replicas 1 }}
- "glooAgent.deploymentOverrides.spec.replicas is {{ $replicas }}: gateways would be told nothing; give at least 1, or set glooAgent.enabled to false"
{{- end }}
{{- if and (gt $replicas 1) (not (include "fingerpost.agent.elects" .)) }}
- "glooAgent.deploymentOverrides.spec.replicas is {{ $replicas }} and there is no leader election, so all of them would write: set common.leaderElection and glooAgent.leaderElection to true, or give 1"
{{- end }}
{{- end }}
{{- end -}}

{{/* What the server would refuse at its start (mgmt/relay/secrets.py), or never use. */}}
{{- define "fingerpost.refusals.relay" -}}
{{- if include "fingerpost.serverRuns" . }}
{{- $relay := .Values.glooMgmtServer.relay }}
{{- $signing := (include "fingerpost.relay.secrets" $relay | fromYaml).signingTlsSecret }}
{{- $environment := .Values.glooMgmtServer.extraEnvs | default dict }}
{{- $tokenOnly := eq (dig "RELAY_DISABLE_CLIENT_CERTIFICATE_AUTHENTICATION" "value" "" $environment) "true" }}
{{- if $relay.requireClusterToken }}
{{- if hasKey $environment "RELAY_TOKEN" }}
- "glooMgmtServer.relay.requireClusterToken is true, so RELAY_TOKEN of glooMgmtServer.extraEnvs admits nobody: leave one of the two"
{{- end }}
{{- if and $relay.disableCa (not $tokenOnly) }}
- "glooMgmtServer.relay.requireClusterToken and glooMgmtServer.relay.disableCa are both true: where no certificate is issued no token is asked for; leave one of the two"
{{- end }}
{{- end }}
{{- if and (not $relay.disableCa) $tokenOnly (ne $signing "relay-tls-signing-secret") }}
- "glooMgmtServer.relay.signingTlsSecret.name is {{ $signing }}, and RELAY_DISABLE_CLIENT_CERTIFICATE_AUTHENTICATION leaves nothing to sign: leave one of the two"
{{- end }}
{{- end }}
{{- if and .Values.glooMgmtServer.registerCluster (not .Values.glooMgmtServer.enabled) }}
- "glooMgmtServer.registerCluster is true and glooMgmtServer.enabled is false: nobody would register it; set glooMgmtServer.enabled to true, or leave registerCluster"
{{- end }}
{{- end -}}

{{/* (variables, name): "true" where it is there and not switched off */}}
{{- define "fingerpost.refusals.given" -}}
{{- $given := get (index . 0 | default dict) (index . 1) -}}
{{- if and $given (ne (get $given "value") "false") }}true{{ end -}}
{{- end -}}

{{/* In plaintext nobody proves anything, and no certificate is looked at. */}}
{{- define "fingerpost.refusals.insecure" -}}
{{- $values := .Values }}
{{- $everywhere := $values.common.insecure | default false }}
{{- $where := dict "server" (ternary "common.insecure" "glooMgmtServer.insecure" $everywhere)
    "agent" (ternary "common.insecure" "glooAgent.insecure" $everywhere) }}
{{- $server := and (include "fingerpost.serverRuns" .) (or $everywhere $values.glooMgmtServer.insecure) }}
{{- $agent := and (include "fingerpost.agentRuns" .) (or $everywhere $values.glooAgent.insecure) }}
{{- if $server }}
{{- range $name := list "requireApproval" "requireClusterToken" "disableCa" "disableCaCertGeneration" "disableTokenGeneration" }}
{{- if get $values.glooMgmtServer.relay $name }}
- "{{ $where.server }} and glooMgmtServer.relay.{{ $name }} are both true: in plaintext there are neither certificates nor tokens; leave one of the two"
{{- end }}
{{- end }}
{{- range $name := list "RELAY_TOKEN" "RELAY_DISABLE_CLIENT_CERTIFICATE_AUTHENTICATION" }}
{{- if include "fingerpost.refusals.given" (list $values.glooMgmtServer.extraEnvs $name) }}
- "{{ $where.server }} is true, so {{ $name }} of glooMgmtServer.extraEnvs has no effect: leave one of the two"
{{- end }}
{{- end }}
{{- end }}
{{- if $agent }}
{{- range $name := list "RELAY_TOKEN" "RELAY_DISABLE_SERVER_CERTIFICATE_VALIDATION" }}
{{- if include "fingerpost.refusals.given" (list $values.glooAgent.extraEnvs $name) }}
- "{{ $where.agent }} is true, so {{ $name }} of glooAgent.extraEnvs has no effect: leave one of the two"
{{- end }}
{{- end }}
{{- if ne (include "fingerpost.relay.secrets" $values.glooAgent.relay | fromYaml).clientTlsSecret "relay-client-tls-secret" }}
- "{{ $where.agent }} is true, so the certificate in glooAgent.relay.clientTlsSecret.name would not be used: leave one of the two"
{{- end }}
{{- end }}
{{- if and (include "fingerpost.serverRuns" .) (include "fingerpost.agentRuns" .) (empty $values.glooAgent.relay.serverAddress)
    (ne (empty $server) (empty $agent)) }}
- "glooMgmtServer.insecure is {{ $values.glooMgmtServer.insecure | default false }} and glooAgent.insecure is {{ $values.glooAgent.insecure | default false }}: the server and its agent must agree; set common.insecure, or both"
{{- end }}
{{- end -}}

{{- define "fingerpost.refusals.redis" -}}
{{- if include "fingerpost.serverRuns" . }}
{{- $redis := .Values.redis }}
{{- if and (contains "," ($redis.address | default "")) (not $redis.sentinel.master) }}
- "redis.address is {{ $redis.address }}: several are those of Sentinels; give redis.sentinel.master, or one address"
{{- end }}
{{- if and $redis.sentinel.auth (not $redis.auth.enabled) }}
- "redis.sentinel.auth is true and redis.auth.enabled is false: there is nothing to log in with; set redis.auth.enabled to true, or leave redis.sentinel.auth"
{{- end }}
{{- if include "fingerpost.redisRuns" . }}
{{- if $redis.sentinel.master }}
- "redis.sentinel.master is {{ $redis.sentinel.master }}, and the built-in Redis has no Sentinels: give host:port of each in redis.address, with commas, or leave redis.sentinel"
{{- end }}
{{- if $redis.certs.enabled }}
- "redis.certs.enabled is true, but the built-in Redis speaks no TLS: set redis.deployment.enabled to false and give redis.address, or leave redis.certs out"
{{- end }}
{{- if gt (int $redis.db) 15 }}
- "redis.db is {{ $redis.db }}: the built-in Redis has the databases 0 to 15; choose one of them"
{{- end }}
{{- else if not $redis.address }}
- "redis.address is empty and redis.deployment.enabled is false: give host:port of a Redis"
{{- else if and $redis.deployment.enabled $redis.deployment.persistence.enabled }}
- "redis.address is {{ $redis.address }}, and redis.deployment.persistence is for the built-in Redis, which would not run: leave redis.address, or set redis.deployment.enabled to false"
{{- end }}
{{- if and $redis.deployment.persistence.existingClaim (not $redis.deployment.persistence.enabled) }}
- "redis.deployment.persistence.existingClaim is {{ $redis.deployment.persistence.existingClaim }} and redis.deployment.persistence.enabled is false: the claim would not be used; set enabled to true, or leave the claim"
{{- end }}
{{- end }}
{{- end -}}

{{- define "fingerpost.refusals.clusters" -}}
{{- $names := list }}
{{- range $i, $cluster := .Values.glooMgmtServer.agents }}
{{- $names = append $names (list (printf "glooMgmtServer.agents[%d].name" $i) $cluster.name) }}
{{- if and $.Values.glooMgmtServer.registerCluster (eq $cluster.name $.Values.common.cluster) $cluster.domain (ne $cluster.domain $.Values.common.clusterDomain) }}
- "glooMgmtServer.agents[{{ $i }}].domain is {{ $cluster.domain }} and common.clusterDomain is {{ $.Values.common.clusterDomain }}, both of cluster {{ $cluster.name }}: make them the same, or leave the entry, since registerCluster is true"
{{- end }}
{{- end }}
{{- include "fingerpost.refusals.twice" (dict "by" $names "remedy" "leave one of the entries, or correct the name") }}
{{- end -}}

{{/* Names within a pod: those of containers, and those of variables, of which the last would win. */}}
{{- define "fingerpost.refusals.pods" -}}
{{- $components := list
    (list "glooMgmtServer" .Values.glooMgmtServer (include "fingerpost.serverName" .) "fingerpost.serverRuns" "fingerpost.server.deployment")
    (list "glooAgent" .Values.glooAgent (include "fingerpost.agentName" .) "fingerpost.agentRuns" "fingerpost.agent.deployment")
    (list "redis.deployment" .Values.redis.deployment "redis" "fingerpost.redisRuns" "fingerpost.redis.deployment") }}
{{- range $one := $components }}
{{- $name := index $one 0 }}
{{- $given := index $one 1 }}
{{- if include (index $one 3) $ }}
{{- if not (or $given.floatingUserId $given.runAsUser) }}
- "{{ $name }}.runAsUser is empty: give the id of a user, or set {{ $name }}.floatingUserId to true"
{{- end }}
{{- if hasKey ($given.sidecars | default dict) (index $one 2) }}
- "{{ $name }}.sidecars.{{ index $one 2 }} has the name of the container that is there: choose another"
{{- end }}
{{- $container := index (include (index $one 4) $ | fromYaml).spec.template.spec.containers 0 }}
{{- $times := dict }}
{{- range $container.env }}{{ $_ := set $times .name (add1 (get $times .name | default 0)) }}{{ end }}
{{- range $variable, $_ := $given.extraEnvs }}
{{- if gt (get $times $variable | int) 1 }}
- "{{ $name }}.extraEnvs.{{ $variable }} is set by the chart: use the value it is made from, see docs/values.md"
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* such as 1m30s, in milliseconds */}}
{{- define "fingerpost.milliseconds" -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+(ms|s|m|h)" . -1 -}}
  {{- $unit := regexFind "[a-z]+" . -}}
  {{- $sum = add $sum (mul (trimSuffix $unit . | int64) (get (dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000) $unit)) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}

{{- define "fingerpost.refusals.monitoring" -}}
{{- with .Values.monitoring.serviceMonitor }}
{{- if and .enabled (gt (include "fingerpost.milliseconds" .scrapeTimeout | int64) (include "fingerpost.milliseconds" .interval | int64)) }}
- "monitoring.serviceMonitor.scrapeTimeout is {{ .scrapeTimeout }}, longer than monitoring.serviceMonitor.interval, {{ .interval }}, and Prometheus would refuse both: make it at most as long"
{{- end }}
{{- end }}
{{- end -}}

{{/* Of what runs and what does not: one that is wrong is wrong everywhere. A login in an address is not repeated. */}}
{{- define "fingerpost.refusals.addresses" -}}
{{- $otlp := dig "config" "exporters" "otlp" "endpoint" "" (default dict .Values.telemetryCollector) }}
{{- range $one := list (list "glooAgent.relay.serverAddress" .Values.glooAgent.relay.serverAddress 9900)
    (list "redis.address" .Values.redis.address 6379) (list "telemetryCollector.config.exporters.otlp.endpoint" $otlp 4317) }}
{{- $given := index $one 1 | default list }}
{{- if kindIs "string" $given }}{{ $given = regexReplaceAll ", *" $given "," | splitList "," }}{{ end }}
{{- range $given }}
{{- $fits := regexMatch "^(\\[[0-9a-fA-F:.]+\\]|[^\\s:/,\\[\\]]+):[1-9][0-9]{0,4}$" . }}
{{- if not (and $fits (le (splitList ":" . | last | int) 65535)) }}
- {{ printf "%s is %s: give host:port, such as host.example.com:%v or [2001:db8::7]:%v" (first $one)
    (regexReplaceAll "^.*@" . "...@" | default "empty") (last $one) (last $one) | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
