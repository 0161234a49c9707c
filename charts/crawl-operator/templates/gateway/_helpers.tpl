{{- define "crawl-gateway.name" -}}
{{- include "crawl-operator.fullname" . }}-gateway
{{- end -}}

{{- define "crawl-gateway.selector" -}}
app.kubernetes.io/name: crawl-gateway
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "crawl-gateway.labels" -}}
{{ include "crawl-gateway.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "crawl-gateway.account" -}}
{{- $account := .Values.gateway.serviceAccount -}}
{{- $account.name | default (ternary (include "crawl-gateway.name" .) "default" $account.create) -}}
{{- end -}}

{{/* The gateway's configuration file: what the chart knows, overridden by `gateway.settings`. */}}
{{- define "crawl-gateway.configuration" -}}
{{- $own := dict "port" 8080 "namespaces" .Values.namespaces -}}
{{- if .Values.settings.downloads.enabled -}}
{{- $operator := include "crawl-operator.fullname" . -}}
{{- $_ := set $own "resultsUrl" (printf "http://%s.%s.svc:8082" $operator .Release.Namespace) -}}
{{- end -}}
{{- with .Values.namespaces -}}
{{- $_ := set $own "defaultNamespace" (first .) -}}
{{- end -}}
{{- if .Values.gateway.loginSecret -}}
{{- $_ := set $own "login" (dict "clientSecretFile" "/etc/crawl-gateway-login/client-secret") -}}
{{- end -}}
{{- mergeOverwrite $own (deepCopy .Values.gateway.settings) | toYaml -}}
{{- end -}}
