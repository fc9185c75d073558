{{/* The first part of every name: short enough for what is added to it. */}}
{{- define "da.fullname" -}}
{{- .Values.fullnameOverride | default .Release.Name | trunc 45 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of a cluster-wide object: two releases of one name, in two namespaces, must not meet.
     Arguments: root, name. */}}
{{- define "da.clusterName" -}}
{{- $namespace := .root.Release.Namespace -}}
{{- if eq $namespace (include "da.fullname" .root) }}{{ .name }}{{ else }}{{ $namespace }}-{{ .name }}{{ end -}}
{{- end -}}

{{/* The labels that select a component's pods; they never change. Arguments: root, component. */}}
{{- define "da.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* The labels of an object. Arguments: root, component. */}}
{{- define "da.labels" -}}
{{ include "da.selector" . }}
app.kubernetes.io/part-of: durable-agents
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The labels of a pod: none that a new version of the chart changes, since that would restart it.
     Arguments: root, component. */}}
{{- define "da.podLabels" -}}
{{ include "da.selector" . }}
app.kubernetes.io/part-of: durable-agents
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A full image name. Arguments: root, image. */}}
{{- define "da.image" -}}
{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end -}}

{{/* What every pod and every container of the chart runs as. */}}
{{- define "da.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "da.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "da.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Where a component's pods may run. Argument: the component's values. */}}
{{- define "da.scheduling" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* A Service's full DNS name. Arguments: root, name. */}}
{{- define "da.host" -}}
{{ .name }}.{{ .root.Release.Namespace }}.svc.{{ .root.Values.clusterDomain }}
{{- end -}}

{{- define "da.restate.adminURL" -}}
{{- if .Values.restate.enabled -}}
http://{{ include "da.host" (dict "root" . "name" (printf "%s-restate" (include "da.fullname" .))) }}:9070
{{- else -}}
{{ required "restate.enabled is false: set restate.external.adminURL to your server's admin API" .Values.restate.external.adminURL }}
{{- end -}}
{{- end -}}

{{/* Where agents' pods reach the ingress; empty: nobody said. */}}
{{- define "da.restate.ingressURL" -}}
{{- if .Values.restate.enabled -}}
http://{{ include "da.host" (dict "root" . "name" (printf "%s-restate" (include "da.fullname" .))) }}:8080
{{- else -}}
{{ .Values.restate.external.ingressURL }}
{{- end -}}
{{- end -}}

{{/* Where the credentials of an external Restate are, as the operator's variables: name to name/key. */}}
{{- define "da.restate.credentials" -}}
{{- if not .Values.restate.enabled -}}
{{- with .Values.restate.external -}}
{{- if .tokenSecret.name }}
RESTATE_TOKEN_SECRET: {{ printf "%s/%s" .tokenSecret.name .tokenSecret.key }}
{{- end }}
{{- if .clientCertificateSecret.name }}
RESTATE_CLIENT_CERTIFICATE_SECRET: {{ .clientCertificateSecret.name }}
{{- end }}
{{- if .caSecret.name }}
RESTATE_CA_SECRET: {{ printf "%s/%s" .caSecret.name .caSecret.key }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "da.model.url" -}}
http://{{ include "da.host" (dict "root" . "name" (printf "%s-model" (include "da.fullname" .))) }}:8080
{{- end -}}
