"""Every value of the Helm chart: its type, default and meaning, in one place.

`python -m helm.render` writes values.yaml, values.schema.json and the chart's README from this.
Nothing here may read a cluster or the environment.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

FreeObject = dict[str, Any]
"""A piece of Pod spec whose fields Kubernetes itself checks."""

Digest = Annotated[str, StringConstraints(pattern=r"^(sha256:[0-9a-f]{64})?$")]
DnsLabel = Annotated[str, StringConstraints(pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$")]
Ipv4OrEmpty = Annotated[str, StringConstraints(pattern=r"^([0-9]{1,3}(\.[0-9]{1,3}){3})?$")]
Cidr = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F.:]+/[0-9]{1,3}$")]
Port = Annotated[int, Field(ge=1, le=65535)]
ProfileFile = Annotated[
    str,
    StringConstraints(pattern=r"^(([A-Za-z0-9][A-Za-z0-9_.-]*/)*[A-Za-z0-9][A-Za-z0-9_.-]*)?$"),
]
ProfileName = Annotated[
    str, StringConstraints(pattern=r"^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$")
]
AbsolutePath = Annotated[str, StringConstraints(pattern=r"^/[^:]*[^/:]$")]
Strings = dict[str, str]


class Values(BaseModel):
    """Base: camelCase in YAML, unknown keys refused so that a typing error is found."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )


class Image(Values):
    """Where an image comes from."""

    registry: str = Field(default="ringfence.dev", description="Registry host. Empty: none.")
    repository: Annotated[str, StringConstraints(min_length=1)] = Field(
        default="operator", description="Repository within the registry."
    )
    tag: str = Field(default="", description="Tag. Empty: the chart's appVersion.")
    digest: Digest = Field(
        default="", description="`sha256:...` of the image. If set, it wins over the tag."
    )


class PulledImage(Image):
    """An image of the chart's own Pods."""

    pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        default="IfNotPresent", description="When the node pulls the image."
    )


class Crds(Values):
    """The CustomResourceDefinitions."""

    install: bool = Field(
        default=True, description="Install and upgrade the CRDs with this release."
    )
    keep: bool = Field(
        default=True,
        description="Leave the CRDs, and so every Sandbox, in place when the release is removed.",
    )


class ServiceAccount(Values):
    """The operator's own account."""

    name: str = Field(default="", description="Name. Empty: `<fullname>-operator`.")
    annotations: Strings = Field(default={}, description="Annotations of the ServiceAccount.")


class Rbac(Values):
    """Rights."""

    aggregate: bool = Field(
        default=True,
        description="Add Sandboxes to the built-in roles view, edit and admin. The roles "
        "`<fullname>-view` and `<fullname>-edit` exist in both cases.",
    )


class Pdb(Values):
    """PodDisruptionBudget of the operator."""

    enabled: bool = Field(default=True, description="Create a PodDisruptionBudget.")
    max_unavailable: Annotated[int, Field(ge=1)] = Field(
        default=1,
        description="Pods that may be missing at once. One replica runs, so 1 lets nodes be "
        "drained; Sandboxes go on running without the operator.",
    )


class ServiceMonitor(Values):
    """Scraping by the Prometheus operator."""

    enabled: bool = Field(
        default=False, description="Create a ServiceMonitor (monitoring.coreos.com/v1)."
    )
    interval: Annotated[str, StringConstraints(pattern=r"^[0-9]+(ms|s|m)$")] = Field(
        default="30s", description="Time between two scrapes."
    )
    labels: Strings = Field(
        default={}, description="Labels by which your Prometheus selects ServiceMonitors."
    )


class Metrics(Values):
    """Prometheus metrics of the operator."""

    port: Port = Field(default=8080, description="Port of /metrics.")
    service: bool = Field(default=True, description="Create a Service for the metrics.")
    service_monitor: ServiceMonitor = Field(
        default=ServiceMonitor(), description="Scraping by the Prometheus operator."
    )


class NetworkPolicy(Values):
    """Firewall of the chart's own Pods (each Sandbox gets its own policy in any case)."""

    enabled: bool = Field(
        default=True,
        description="Fence the operator and the node agent with NetworkPolicies.",
    )
    metrics_namespaces: tuple[Annotated[str, StringConstraints(min_length=1)], ...] = Field(
        default=(), description="Namespaces that may scrape the metrics. Empty: none."
    )
    api_server_cidrs: tuple[Cidr, ...] = Field(
        default=("0.0.0.0/0", "::/0"),
        description="Addresses of the API server. They are not known before installation, so "
        "the default is any; name yours to close the rest.",
    )
    api_server_ports: tuple[Port, ...] = Field(
        default=(443, 6443),
        min_length=1,
        description="Ports of the API server, as the Service and as the endpoint "
        "(minikube needs 8443).",
    )


class AdmissionPolicy(Values):
    """Guard over the labels that tie a Pod to its Sandbox, and over the operator's Services."""

    enabled: bool = Field(
        default=True,
        description="Refuse Pods that carry the label `ringfence.dev/sandbox-uid` or "
        "`ringfence.dev/gateway-uid` unless the operator made them, every later change of these "
        "labels, and any Service of the operator's but those of egress gateways.",
    )


class Dns(Values):
    """How the egress proxies resolve names."""

    resolver: Ipv4OrEmpty = Field(
        default="",
        description="IPv4 address of the cluster's DNS. Empty: as in the operator's Pod.",
    )
    namespace: str = Field(default="kube-system", description="Namespace of the DNS Pods.")
    app: str = Field(default="kube-dns", description="Value of their label `k8s-app`.")


class Uids(Values):
    """User ids of the agents."""

    first: Annotated[int, Field(ge=20000, le=64999)] = Field(
        default=30000, description="First uid given to an agent."
    )
    last: Annotated[int, Field(ge=20000, le=64999)] = Field(
        default=64999, description="Last uid given to an agent; one per Sandbox of the cluster."
    )


class Operator(Values):
    """The operator's Deployment. It always runs one replica."""

    workers: Annotated[int, Field(ge=1, le=256)] = Field(
        default=16, description="Sandboxes reconciled at the same time."
    )
    resync_seconds: Annotated[int, Field(ge=30)] = Field(
        default=600, description="Time between two full passes over all Sandboxes."
    )
    probe_port: Port = Field(default=8081, description="Port of the health probes.")
    resources: FreeObject = Field(
        default={
            "requests": {"cpu": "50m", "memory": "96Mi", "ephemeral-storage": "16Mi"},
            "limits": {"cpu": "1", "memory": "256Mi", "ephemeral-storage": "256Mi"},
        },
        description="Requests and limits of the operator.",
    )
    priority_class_name: str = Field(
        default="", description="PriorityClass, for example `system-cluster-critical`."
    )
    pod_labels: Strings = Field(default={}, description="Further labels of the Pod.")
    pod_annotations: Strings = Field(default={}, description="Annotations of the Pod.")
    node_selector: Strings = Field(
        default={"kubernetes.io/os": "linux"}, description="Labels of the nodes to run on."
    )
    tolerations: tuple[FreeObject, ...] = Field(default=(), description="Taints to tolerate.")
    affinity: FreeObject = Field(default={}, description="Affinity of the Pod.")
    topology_spread_constraints: tuple[FreeObject, ...] = Field(
        default=(), description="Spread of the Pod over nodes and zones."
    )


class Profiles(Values):
    """Seccomp and AppArmor profile of the agents."""

    provider: Literal["Builtin", "SecurityProfilesOperator", "Preinstalled"] = Field(
        default="Builtin",
        description="Who puts the profiles on the nodes. `Builtin`: the node agent. "
        "`SecurityProfilesOperator`: that operator (1.0 or later, installed before), from the "
        "objects that this chart then brings. `Preinstalled`: you; name them below.",
    )
    seccomp_profile: ProfileFile = Field(
        default="",
        description="With `Preinstalled`: the seccomp profile, as a path below the kubelet's "
        "`seccomp` directory.",
    )
    app_armor_profile: ProfileName = Field(
        default="", description="With `Preinstalled`: name of the loaded AppArmor profile."
    )


class Node(Values):
    """The node agent, a DaemonSet."""

    kubelet_root: AbsolutePath = Field(
        default="/var/lib/kubelet",
        description="The kubelet's root directory; the seccomp profile goes below its `seccomp`.",
    )
    port: Port = Field(default=8082, description="Port of the probes and of /metrics.")
    unused_profile_seconds: Annotated[int, Field(ge=60)] = Field(
        default=3600,
        description="How long the seccomp file of another release must be unused on a node before "
        "it is removed.",
    )
    max_unavailable: Annotated[str, StringConstraints(pattern=r"^([0-9]|[1-9][0-9]|100)%$")] = (
        Field(
            default="50%",
            description="Share of the nodes whose agents may be replaced at once. No Sandbox "
            "starts on a node while its agent is away; running ones are not touched.",
        )
    )
    resources: FreeObject = Field(
        default={
            "requests": {"cpu": "10m", "memory": "48Mi", "ephemeral-storage": "4Mi"},
            "limits": {"cpu": "1", "memory": "128Mi", "ephemeral-storage": "64Mi"},
        },
        description="Requests and limits per node.",
    )
    priority_class_name: str = Field(
        default="system-node-critical",
        description="PriorityClass. Nodes without the agent start no Sandbox.",
    )
    se_linux_type: str = Field(
        default="",
        description="SELinux type of the container, on nodes that enforce SELinux "
        "(`spc_t` may write below the kubelet's directory and read other containers).",
    )
    pod_labels: Strings = Field(default={}, description="Further labels of the Pods.")
    pod_annotations: Strings = Field(default={}, description="Annotations of the Pods.")
    node_selector: Strings = Field(
        default={"kubernetes.io/os": "linux"}, description="Labels of the nodes to run on."
    )
    tolerations: tuple[FreeObject, ...] = Field(
        default=({"operator": "Exists"},),
        description="Taints to tolerate. All by default, as a Sandbox may land on any node.",
    )


class Proxy(Values):
    """The egress proxy beside every agent."""

    image: Image = Field(default=Image(repository="proxy"), description="Image of the proxy.")


class DefaultClass(Values):
    """The SandboxClass of Sandboxes that name none."""

    create: bool = Field(default=True, description="Create it.")
    name: DnsLabel = Field(default="standard", description="Name of the class.")
    default: bool = Field(
        default=True,
        description="Annotate it as the cluster's default class. At most one class may be.",
    )
    image: Image = Field(
        default=Image(repository="sandbox"), description="Image of a Sandbox that names none."
    )
    allowed_images: tuple[Annotated[str, StringConstraints(min_length=1, max_length=512)], ...] = (
        Field(default=(), description="Further images, exact or with one `*` at the end.")
    )
    spec: FreeObject = Field(
        default={},
        description="Every other field of the class (`kubectl explain sandboxclass.spec`).",
    )


class HelmTest(Values):
    """`helm test`: runs the attack table in the cluster."""

    namespace: DnsLabel = Field(
        default="",
        description="Namespace in which `helm test` makes its two Sandboxes; it must exist. "
        "Empty: the release's own.",
    )
    class_name: DnsLabel = Field(
        default="", description="SandboxClass of the two. Empty: the cluster's default."
    )
    target: Ipv4OrEmpty = Field(
        default="",
        description="Address outside of the cluster that answers on ports 443 and 80 to whoever "
        "is not fenced. Empty: one of documentation (`ringfence attack --help`).",
    )


class ChartValues(Values):
    """Values of the chart."""

    name_override: DnsLabel = Field(default="", description="Name of the chart in object names.")
    fullname_override: DnsLabel = Field(default="", description="Prefix of every object name.")
    common_labels: Strings = Field(default={}, description="Further labels of every object.")
    image: PulledImage = Field(
        default=PulledImage(), description="Image of the operator and of the node agent."
    )
    image_pull_secrets: tuple[FreeObject, ...] = Field(
        default=(), description="Pull secrets of the chart's own Pods, as `- name: ...`."
    )
    crds: Crds = Field(default=Crds(), description="CustomResourceDefinitions.")
    operator: Operator = Field(default=Operator(), description="The operator.")
    proxy: Proxy = Field(default=Proxy(), description="The egress proxy of every Sandbox.")
    dns: Dns = Field(default=Dns(), description="Cluster DNS, for the egress proxies.")
    uids: Uids = Field(default=Uids(), description="User ids of the agents.")
    profiles: Profiles = Field(default=Profiles(), description="Profiles on the nodes.")
    node: Node = Field(default=Node(), description="The node agent.")
    default_class: DefaultClass = Field(
        default=DefaultClass(), description="The default SandboxClass."
    )
    service_account: ServiceAccount = Field(
        default=ServiceAccount(), description="The operator's ServiceAccount."
    )
    rbac: Rbac = Field(default=Rbac(), description="Rights of people.")
    admission_policy: AdmissionPolicy = Field(
        default=AdmissionPolicy(), description="ValidatingAdmissionPolicy over Sandbox Pods."
    )
    network_policy: NetworkPolicy = Field(
        default=NetworkPolicy(), description="NetworkPolicies of the chart's own Pods."
    )
    pod_disruption_budget: Pdb = Field(default=Pdb(), description="PodDisruptionBudget.")
    metrics: Metrics = Field(default=Metrics(), description="Prometheus metrics.")
    helm_test: HelmTest = Field(default=HelmTest(), description="The attack table as `helm test`.")
