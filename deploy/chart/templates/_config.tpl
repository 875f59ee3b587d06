{{/* What the configuration of every Remit has. A dictionary, as YAML. */}}
{{- define "remit.commonConfig" -}}
trustDomains:
{{ toYaml (uniq (prepend .Values.identity.acceptedTrustDomains .Values.identity.trustDomain)) | indent 2 }}
admin: { listen: '0.0.0.0:9471', socket: 'unix:/tmp/admin.sock' }
log: { format: json }
{{- end }}

{{- define "remit.authorityConfig" -}}
{{- $config := include "remit.commonConfig" . | fromYaml }}
{{- $names := list }}
{{- range $n := until (int (include "remit.authorities" .)) }}
{{- $names = append $names (printf "%s-%d.%s-peers.%s.svc" (include "remit.authority" $) $n (include "remit.authority" $) $.Release.Namespace) }}
{{- end }}
{{- /* By these names `helm test` asks. */}}
{{- $_ := set $config.admin "hosts" $names }}
{{- if .Values.authority.identitySecret }}
{{- $_ := set $config "svid" (dict "certificate" "/etc/remit-identity/tls.crt" "key" "/etc/remit-identity/tls.key" "bundle" "/etc/remit-identity/ca.crt") }}
{{- end }}
{{- $_ := set $config "issuer" (dict "url" (include "remit.issuerUrl" .) "listen" "0.0.0.0:9472") }}
{{- /* Nothing listens for sidecars before there are rules for them. */}}
{{- with include "remit.sidecarRules" . | fromYamlArray }}
{{- $_ := set $config "authority" (dict "listen" "0.0.0.0:9474" "leaseSeconds" ($.Values.authority.leaseSeconds | default (eq $.Values.authority.database.type "postgres" | ternary 5 15)) "sidecars" .) }}
{{- end }}
{{- if eq .Values.authority.database.type "postgres" }}
{{- $_ := set $config "state" (include "remit.postgresUrl" (dict "root" . "login" .Values.authority.database.postgres)) }}
{{- $_ := set $config "durability" .Values.authority.database.postgres.durability }}
{{- if .Values.authority.database.postgres.stateKeySecret }}
{{- $_ := set $config "authority" (set ($config.authority | default dict) "stateKey" "/etc/remit-state-key/key") }}
{{- end }}
{{- else }}
{{- $_ := set $config "state" "sqlite:/var/lib/remit/state.db" }}
{{- end }}
{{- if .Values.policies.bundle.from }}
{{- $_ := set $config "policies" (dict "bundle" (dict "from" .Values.policies.bundle.from "name" .Values.policies.bundle.name "keys" "/etc/remit/bundle-keys.json" "signatures" (int .Values.policies.bundle.signatures))) }}
{{- else }}
{{- $_ := set $config "policies" "/etc/remit/policies" }}
{{- end }}
{{- toYaml (mustMergeOverwrite $config (deepCopy .Values.authority.config)) }}
{{- end }}

{{/* Configuration of a Remit that follows the authority. Takes `root` and `listen`. */}}
{{- define "remit.followerConfig" -}}
{{- $config := include "remit.commonConfig" .root | fromYaml }}
{{- $_ := set $config "extAuthz" .extAuthz }}
{{- $places := list }}
{{- $name := include "remit.authority" .root }}
{{- range $n := until (int (include "remit.authorities" .root)) }}
{{- $places = append $places (printf "%s-%d.%s-peers.%s.svc:9474" $name $n $name $.root.Release.Namespace) }}
{{- end }}
{{- $_ := set $config "state" (printf "authority://%s" (join "," $places)) }}
{{- $_ := set $config "authority" (dict "id" (include "remit.authorityId" .root)) }}
{{- $_ := set $config "ledger" (dict "segmentMiB" 16 "retainGiB" 1) }}
{{- if .root.Values.policies.bundle.from }}
{{- $_ := set $config "policies" (dict "bundle" (dict "from" "authority" "name" .root.Values.policies.bundle.name "keys" "/etc/remit/bundle-keys.json" "signatures" (int .root.Values.policies.bundle.signatures))) }}
{{- else }}
{{- $_ := set $config "policies" "/etc/remit/policies" }}
{{- end }}
{{- toYaml (mustMergeOverwrite $config (deepCopy .config)) }}
{{- end }}

{{- define "remit.sidecarConfig" -}}
{{- include "remit.followerConfig" (dict "root" . "extAuthz" (dict "listen" .Values.sidecar.listen) "config" .Values.sidecar.config) }}
{{- end }}

{{- define "remit.nodeConfig" -}}
{{- $extAuthz := dict "listen" "unix:/run/remit/check.sock" "socketGroup" (toString .Values.node.socketGroup) "socketTakeOver" true }}
{{- if eq .Values.node.via "network" }}
{{- $extAuthz = dict "listen" "0.0.0.0:9470" "callers" .Values.node.callers }}
{{- end }}
{{- include "remit.followerConfig" (dict "root" . "extAuthz" $extAuthz "config" .Values.node.config) }}
{{- end }}

{{/* Who may be a sidecar of the authority. */}}
{{- define "remit.sidecarRules" -}}
{{- $rules := .Values.authority.sidecars }}
{{- if not $rules }}
{{- if eq .Values.mode "sidecar" }}
{{- range $namespace := .Values.sidecar.namespaces }}
{{- range $account := $.Values.sidecar.serviceAccounts }}
{{- $rules = append $rules (dict "id" (printf "spiffe://%s/ns/%s/sa/%s" $.Values.identity.trustDomain $namespace $account) "audiences" $.Values.sidecar.audiences) }}
{{- end }}
{{- end }}
{{- else if and (eq .Values.mode "node") .Values.node.audiences }}
{{- $id := printf "spiffe://%s/ns/%s/sa/%s-node" .Values.identity.trustDomain .Release.Namespace (include "remit.fullname" .) }}
{{- $rules = append $rules (dict "id" $id "audiences" .Values.node.audiences) }}
{{- end }}
{{- end }}
{{- toYaml $rules }}
{{- end }}

{{/* Takes `root`, and `login`: the user and the Secrets. Secrets are mounted in folders of their own. */}}
{{- define "remit.postgresUrl" -}}
{{- $postgres := .root.Values.authority.database.postgres }}
{{- $options := list }}
{{- if .login.passwordSecret }}
{{- $options = append $options "passwordfile=/etc/remit-database/password" }}
{{- end }}
{{- if .login.certificateSecret }}
{{- $options = concat $options (list "sslcert=/etc/remit-database-certificate/tls.crt" "sslkey=/etc/remit-database-certificate/tls.key") }}
{{- end }}
{{- if $postgres.caSecret }}
{{- $options = append $options "sslrootcert=/etc/remit-database-ca/ca.crt" }}
{{- end }}
{{- printf "postgres://%s@%s/%s%s" (urlquery .login.user) (join "," $postgres.hosts) (urlquery $postgres.name) (ternary "" (printf "?%s" (join "&" $options)) (empty $options)) }}
{{- end }}

{{- define "remit.postgresVolumes" -}}
{{- if .login.passwordSecret -}}
- name: database
  secret:
    secretName: {{ .login.passwordSecret | quote }}
    defaultMode: 0440
    items: [{ key: {{ .login.passwordKey | quote }}, path: password }]
{{- end }}
{{- /* Of the authorities alone. */}}
{{- if .login.stateKeySecret }}
- name: state-key
  secret:
    secretName: {{ .login.stateKeySecret | quote }}
    defaultMode: 0440
    items: [{ key: {{ .login.stateKeyKey | quote }}, path: key }]
{{- end }}
{{- if .login.certificateSecret }}
- name: database-certificate
  secret: { secretName: {{ .login.certificateSecret | quote }}, defaultMode: 0440 }
{{- end }}
{{- with .root.Values.authority.database.postgres.caSecret }}
- name: database-ca
  secret: { secretName: {{ . | quote }}, defaultMode: 0440, items: [{ key: ca.crt, path: ca.crt }] }
{{- end }}
{{- end }}

{{- define "remit.postgresMounts" -}}
{{- if .login.passwordSecret -}}
- { name: database, mountPath: /etc/remit-database, readOnly: true }
{{- end }}
{{- if .login.stateKeySecret }}
- { name: state-key, mountPath: /etc/remit-state-key, readOnly: true }
{{- end }}
{{- if .login.certificateSecret }}
- { name: database-certificate, mountPath: /etc/remit-database-certificate, readOnly: true }
{{- end }}
{{- if .root.Values.authority.database.postgres.caSecret }}
- { name: database-ca, mountPath: /etc/remit-database-ca, readOnly: true }
{{- end }}
{{- end }}

{{/* The data of a ConfigMap with a configuration. Takes `root` and `config`, the text. */}}
{{- define "remit.configData" -}}
remit.yaml: |
{{ .config | indent 2 }}
{{- if .root.Values.policies.bundle.from }}
{{ dict "bundle-keys.json" .root.Values.policies.bundle.keys | toYaml }}
{{- end }}
{{- end }}
