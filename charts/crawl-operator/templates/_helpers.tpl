{{- define "crawl-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* A name for what has no namespace: two releases of one name must not share it. */}}
{{- define "crawl-operator.clusterName" -}}
{{- if eq .Release.Namespace (include "crawl-operator.fullname" .) -}}
{{- include "crawl-operator.fullname" . -}}
{{- else -}}
{{- printf "%s-%s" .Release.Namespace (include "crawl-operator.fullname" .) -}}
{{- end -}}
{{- end -}}

{{- define "crawl-operator.selector" -}}
app.kubernetes.io/name: crawl-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "crawl-operator.labels" -}}
{{ include "crawl-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* An image by (list image context). */}}
{{- define "crawl-operator.image" -}}
{{- $image := index . 0 -}}
{{- $tag := $image.tag | default (index . 1).Chart.AppVersion -}}
{{- $image.repository }}:{{ $tag }}{{ with $image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{- define "crawl-operator.account" -}}
{{- .Values.serviceAccount.name | default (ternary (include "crawl-operator.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{/* JSON: the namespaces that are prepared for crawls. */}}
{{- define "crawl-operator.crawlNamespaces" -}}
{{- .Values.namespaces | default .Values.worker.namespaces | toJson -}}
{{- end -}}

{{- define "crawl-operator.makesWorkerAccount" -}}
{{- if and .Values.worker.serviceAccount.create (include "crawl-operator.crawlNamespaces" . | fromJsonArray) -}}yes{{- end -}}
{{- end -}}

{{- define "crawl-operator.workerAccount" -}}
{{- $made := ternary (printf "%s-worker" (include "crawl-operator.fullname" .)) "default" (eq (include "crawl-operator.makesWorkerAccount" .) "yes") -}}
{{- .Values.worker.serviceAccount.name | default $made -}}
{{- end -}}

{{- define "crawl-operator.priorityClass" -}}
{{- printf "%s-%s" (include "crawl-operator.clusterName" (index . 1)) (index . 0 | lower) -}}
{{- end -}}

{{- define "crawl-operator.claim" -}}
{{- .Values.results.persistence.existingClaim | default (printf "%s-results" (include "crawl-operator.fullname" .)) -}}
{{- end -}}

{{/* The operator's configuration file: what the chart knows, overridden by `settings`. */}}
{{- define "crawl-operator.configuration" -}}
{{- $name := include "crawl-operator.fullname" . -}}
{{- $classes := dict -}}
{{- if .Values.priorityClasses.create -}}
{{- range $priority, $_ := .Values.priorityClasses.values -}}
{{- $_ := set $classes $priority (dict "priorityClassName" (include "crawl-operator.priorityClass" (list $priority $))) -}}
{{- end -}}
{{- end -}}
{{- $own := dict
  "namespaces" .Values.namespaces
  "endpoint" (dict "port" 8082 "url" (printf "http://%s.%s.svc:8082" $name .Release.Namespace))
  "health" (dict "port" 8081)
  "leadership" (dict "enabled" true "namespace" .Release.Namespace "name" $name)
  "results" (dict "folder" "/var/lib/crawl-operator/results")
  "worker" (dict
    "image" (include "crawl-operator.image" (list .Values.worker.image .))
    "imagePullPolicy" .Values.worker.image.pullPolicy
    "serviceAccount" (include "crawl-operator.workerAccount" .))
  "classes" $classes
-}}
{{- mergeOverwrite $own (deepCopy .Values.settings) | toYaml -}}
{{- end -}}
