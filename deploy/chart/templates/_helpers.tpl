{{- define "remit.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{/* Pods of a StatefulSet add `-authority-N`, and a ledger has a name of 64 characters at most. */}}
{{- define "remit.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "remit.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "remit.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "remit.authority" -}}
{{ include "remit.fullname" . }}-authority
{{- end }}

{{- define "remit.selectorLabels" -}}
app.kubernetes.io/name: {{ include "remit.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Takes `root` and `component`. */}}
{{- define "remit.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name (.root.Chart.Version | replace "+" "_") }}
{{ include "remit.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: remit
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "remit.image" -}}
{{- with .Values.image -}}
{{- $name := printf "%s/%s" .registry .repository -}}
{{- if .digest -}}
{{ $name }}@{{ .digest }}
{{- else -}}
{{ $name }}:{{ default $.Chart.AppVersion .tag }}
{{- end }}
{{- end }}
{{- end }}

{{- define "remit.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "remit.authority" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "remit.authorityId" -}}
spiffe://{{ .Values.identity.trustDomain }}/ns/{{ .Release.Namespace }}/sa/{{ include "remit.serviceAccount" . }}
{{- end }}

{{- define "remit.issuerUrl" -}}
{{ default (printf "https://%s.%s.svc:%v" (include "remit.authority" .) .Release.Namespace .Values.service.port) .Values.authority.url | trimSuffix "/" }}
{{- end }}

{{/* The environment of every Remit: where its SVID comes from, and what tells its ledger apart. Takes `root`, and `secret`: the name of one, or nothing. */}}
{{- define "remit.env" -}}
{{- if not .secret -}}
- name: SPIFFE_ENDPOINT_SOCKET
  value: {{ printf "unix:///spiffe-workload-api/%s" .root.Values.identity.csi.socket | quote }}
{{ end -}}
- { name: REMIT_TERMINATION_MESSAGE, value: /dev/termination-log }
- name: REMIT_LEDGER_NAME
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
{{- with .root.Values.telemetry.otlpEndpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- end }}

{{- define "remit.identityVolume" -}}
- name: identity
{{- if .secret }}
  secret: { secretName: {{ .secret | quote }}, defaultMode: 0440 }
{{- else }}
  csi: { driver: {{ .root.Values.identity.csi.driver | quote }}, readOnly: true }
{{- end }}
{{- end }}

{{- define "remit.identityMount" -}}
- { name: identity, mountPath: {{ ternary "/etc/remit-identity" "/spiffe-workload-api" (not (empty .secret)) }}, readOnly: true }
{{- end }}

{{/* Of the authority and of nodes. Where the namespace of the release has sidecars too, they share the name that injected pods mount. */}}
{{- define "remit.policiesConfigMap" -}}
{{- if and (eq .Values.mode "sidecar") (has .Release.Namespace .Values.sidecar.namespaces) (not .Values.policies.existingConfigMap) -}}
remit-policies
{{- else -}}
{{ default (printf "%s-policies" (include "remit.fullname" .)) .Values.policies.existingConfigMap }}
{{- end }}
{{- end }}

{{/* Whether policies are files in a ConfigMap, not a signed bundle. */}}
{{- define "remit.hasPolicyFiles" -}}
{{- if not .Values.policies.bundle.from }}true{{ end }}
{{- end }}

{{/* The content of that ConfigMap, unless one exists. */}}
{{- define "remit.policyFiles" -}}
{{- $files := dict }}
{{- range $path, $_ := .Files.Glob "files/policies/*" }}
{{- $_ := set $files (base $path) ($.Files.Get $path) }}
{{- end }}
{{- if .Values.policies.files }}
{{- $files = merge (deepCopy .Values.policies.files) (pick $files "base.cedarschema") }}
{{- end }}
{{- toYaml $files }}
{{- end }}

{{- define "remit.probes" -}}
startupProbe:
  httpGet: { path: /livez, port: metrics }
  periodSeconds: 1
  failureThreshold: 60
readinessProbe:
  httpGet: { path: /readyz, port: metrics }
  periodSeconds: 5
livenessProbe:
  httpGet: { path: /livez, port: metrics }
  periodSeconds: 10
  timeoutSeconds: 5
{{- end }}

{{/*
On OpenShift the security context constraints of a namespace choose user and groups. How the group of a volume is changed stays: else the kubelet opens all files to the group at
each start of a pod, and Remit refuses a state file that others can write.
*/}}
{{- define "remit.podSecurityContext" -}}
{{- .Values.openshift.enabled | ternary (omit .Values.podSecurityContext "runAsUser" "runAsGroup" "fsGroup") .Values.podSecurityContext | toYaml }}
{{- end }}

{{- define "remit.securityContext" -}}
{{- .Values.openshift.enabled | ternary (omit .Values.securityContext "runAsUser" "runAsGroup") .Values.securityContext | toYaml }}
{{- end }}

{{/* Most authorities that there can be: each has a name that sidecars know. */}}
{{- define "remit.authorities" -}}
{{- .Values.autoscaling.enabled | ternary .Values.autoscaling.maxReplicas .Values.replicaCount }}
{{- end }}

{{/* Annotations of what exists before an install, upgrade or rollback alone. Takes its weight: the lowest comes first. */}}
{{- define "remit.checkHook" -}}
helm.sh/hook: pre-install,pre-upgrade,pre-rollback
helm.sh/hook-weight: '{{ . }}'
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
