{{/*
Names, labels and images shared by all templates. No template writes a name or an image itself.
*/}}

{{/* Prefix of every object name: the release's name if it says ringfence, else both names. */}}
{{- define "ringfence.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "ringfence.serviceAccountName" -}}
{{- default (printf "%s-operator" (include "ringfence.fullname" .)) .Values.serviceAccount.name -}}
{{- end }}

{{/* The operator as the API server sees it. */}}
{{- define "ringfence.operatorUser" -}}
{{- printf "system:serviceaccount:%s:%s" .Release.Namespace (include "ringfence.serviceAccountName" .) -}}
{{- end }}

{{/* The node agents as the API server sees them; which node one runs on, its token says. */}}
{{- define "ringfence.nodeUser" -}}
{{- printf "system:serviceaccount:%s:%s-node" .Release.Namespace (include "ringfence.fullname" .) -}}
{{- end }}

{{/* Labels that select Pods, so they never change between versions. Call with (list . "component"). */}}
{{- define "ringfence.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ default $root.Chart.Name $root.Values.nameOverride }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Labels of every object. Call with (list . "component"). */}}
{{- define "ringfence.labels" -}}
{{- $root := index . 0 -}}
{{ include "ringfence.selectorLabels" . }}
app.kubernetes.io/part-of: ringfence
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Reference of an image; the digest wins over the tag. Call with (list . .Values.image). */}}
{{- define "ringfence.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- $name := $image.repository -}}
{{- if $image.registry -}}
{{- $name = printf "%s/%s" $image.registry $image.repository -}}
{{- end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default $root.Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end }}

{{/* The part of a container's securityContext that no value can loosen. */}}
{{- define "ringfence.containerHardening" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/*
Which profiles Pods use: the same for the operator, which names them, and whoever verifies them.
*/}}
{{- define "ringfence.profileVariables" -}}
{{- $profiles := .Values.profiles -}}
{{- $named := and $profiles.seccompProfile $profiles.appArmorProfile -}}
{{- if and (eq $profiles.provider "Preinstalled") (not $named) -}}
{{- fail "profiles.provider: Preinstalled needs profiles.seccompProfile and profiles.appArmorProfile" -}}
{{- end -}}
{{- if and (ne $profiles.provider "Preinstalled") (or $profiles.seccompProfile $profiles.appArmorProfile) -}}
{{- fail "profiles.seccompProfile and profiles.appArmorProfile need profiles.provider: Preinstalled" -}}
{{- end -}}
- name: RINGFENCE_PROFILES_PROVIDER
  value: {{ $profiles.provider }}
- name: RINGFENCE_SECCOMP_PROFILE
  value: {{ $profiles.seccompProfile | quote }}
- name: RINGFENCE_APP_ARMOR_PROFILE
  value: {{ $profiles.appArmorProfile | quote }}
{{- end }}

{{/* The one egress rule of Pods that talk to the API server alone. */}}
{{- define "ringfence.toApiServer" -}}
- ports:
    {{- range .Values.networkPolicy.apiServerPorts }}
    - protocol: TCP
      port: {{ . }}
    {{- end }}
  {{- with .Values.networkPolicy.apiServerCidrs }}
  to:
    {{- range . }}
    - ipBlock:
        cidr: {{ . }}
    {{- end }}
  {{- end }}
{{- end }}

{{/* Marks an object that `helm test` makes and removes. Call with the weight: lower comes first. */}}
{{- define "ringfence.testHook" -}}
helm.sh/hook: test
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded,hook-failed
{{- end }}
