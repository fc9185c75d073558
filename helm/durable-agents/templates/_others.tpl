{{/* Refuses what another release's operator acts on already: the two would undo each other's work.
     Helm sees the cluster at `helm install` and `helm upgrade` alone. An upgrade to a list passes
     beside an operator of the whole cluster, or neither of two such could ever give way. */}}
{{- define "da.operator.others" -}}
{{- $api := "rbac.authorization.k8s.io/v1" -}}
{{- $namespaces := .Values.operator.watchNamespaces -}}
{{- $roles := list -}}
{{- if or .Release.IsInstall (not $namespaces) -}}
{{- $roles = (lookup $api "ClusterRole" "" "").items | default list -}}
{{- end -}}
{{- range $namespaces | default (list "") -}}
{{- $roles = concat $roles ((lookup $api "Role" . "").items | default list) -}}
{{- end -}}
{{- range $roles -}}
{{- if and (include "da.operator.acts" .) (not (include "da.operator.own" (dict "root" $ "role" .))) -}}
{{- $where := ternary (printf "the namespace %s" .metadata.namespace) "all namespaces" (hasKey .metadata "namespace") -}}
{{- fail (printf "the operator of another release (%s, by its role %s) looks after %s, and this one would too: they would undo each other's work for ever. Give each of them namespaces of its own in operator.watchNamespaces; if that release is gone, delete the role" (get .metadata.labels "app.kubernetes.io/instance") .metadata.name $where) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Not empty: a role by which an operator of this chart looks after AgentDeployments. */}}
{{- define "da.operator.acts" -}}
{{- $labels := .metadata.labels | default dict -}}
{{- if and (eq (get $labels "app.kubernetes.io/part-of") "durable-agents") (eq (get $labels "app.kubernetes.io/component") "operator") -}}
{{- range .rules }}{{ if has "agentdeployments" (.resources | default list) }}yes{{ end }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* Not empty: a role is this release's own. Arguments: root, role. */}}
{{- define "da.operator.own" -}}
{{- $notes := .role.metadata.annotations | default dict -}}
{{- $release := printf "%s/%s" (get $notes "meta.helm.sh/release-namespace") (get $notes "meta.helm.sh/release-name") -}}
{{- if eq $release (printf "%s/%s" .root.Release.Namespace .root.Release.Name) }}yes{{ end -}}
{{- end -}}
