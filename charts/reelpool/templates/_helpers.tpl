{{- define "reelpool.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* What all names begin with. Short enough that every name made from it is also a valid label. */}}
{{- define "reelpool.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "reelpool.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "reelpool.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The Deployment, its Service, its Lease and its roles. */}}
{{- define "reelpool.operator" -}}
{{- printf "%s-operator" (include "reelpool.fullname" .) -}}
{{- end -}}

{{/* The Secret of the key from which the pools' drain tokens are made. */}}
{{- define "reelpool.drainKey" -}}
{{- printf "%s-drain-key" (include "reelpool.fullname" .) -}}
{{- end -}}

{{/* The start of the name of what belongs to no namespace but to this release only. */}}
{{- define "reelpool.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "reelpool.operator" .) -}}
{{- end -}}

{{- define "reelpool.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "reelpool.operator" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "reelpool.selectorLabels" -}}
app.kubernetes.io/name: {{ include "reelpool.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "reelpool.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: {{ include "reelpool.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: reelpool
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* An image's full name: (list root image). */}}
{{- define "reelpool.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- $registry := default $root.Values.image.registry $image.registry -}}
{{- with $registry }}{{ . | trimSuffix "/" }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ default $root.Chart.AppVersion $image.tag }}{{ end -}}
{{- end -}}

{{/* The port of aws.endpointURL. */}}
{{- define "reelpool.endpointPort" -}}
{{- $url := urlParse .Values.aws.endpointURL -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- default (ternary "443" "80" (eq $url.scheme "https")) $port -}}
{{- end -}}

{{/* What operator and workers alike may reach: names, AWS, and what stands in for it. */}}
{{- define "reelpool.commonEgress" -}}
# Names.
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
# SQS, S3 and STS.
- ports:
    - {port: 443, protocol: TCP}
# The agent of EKS Pod Identity, on each node.
- to:
    - ipBlock: {cidr: 169.254.170.23/32}
    - ipBlock: {cidr: "fd00:ec2::23/128"}
  ports:
    - {port: 80, protocol: TCP}
{{- if .Values.aws.endpointURL }}
# aws.endpointURL.
- ports:
    - {port: {{ include "reelpool.endpointPort" . }}, protocol: TCP}
{{- end }}
{{- end -}}
